"""Give the demo model a second name whose chat template knows tools, so that clients offer it some."""
import json
import os
import urllib.request

TEMPLATE = """{% if tools %}<|im_start|>system
# Tools
{% for t in tools %}{{ t | tojson }}
{% endfor %}Call one with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

body = {"model": os.environ["HYPURA_TOOLS_MODEL"], "from": os.environ["HYPURA_MODEL"], "template": TEMPLATE, "stream": False}
reply = json.load(urllib.request.urlopen(urllib.request.Request(os.environ["HYPURA_URL"] + "/api/create", json.dumps(body).encode())))
assert reply == {"status": "success"}, reply
