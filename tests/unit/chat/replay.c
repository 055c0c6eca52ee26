/* replay.c - run a fuzz target once on every file of the folders given as arguments. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return -1;
    uint8_t *data = malloc(1 << 20);
    size_t n = data != NULL ? fread(data, 1, 1 << 20, f) : 0;
    fclose(f);
    if (data != NULL) LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 0;
}

int main(int argc, char **argv) {
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) return perror(argv[i]), 1;
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            char path[2048];
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (e->d_name[0] != '.') files += run_file(path) == 0;
        }
        closedir(dir);
    }
    printf("%d inputs replayed\n", files);
    return files > 0 ? 0 : 1;
}
