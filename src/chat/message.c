#include "chat/message.h"

#include <stdlib.h>

void hyp_message_clear(hyp_message *m) {
    for (size_t i = 0; i < m->n_calls; i++) {
        free(m->calls[i].id);
        free(m->calls[i].name);
        yyjson_doc_free(m->calls[i].arguments);
    }
    free(m->calls);
    free(m->role);
    free(m->content);
    free(m->thinking);
    free(m->tool_name);
    free(m->tool_call_id);
    *m = (hyp_message){0};
}
