/* Runs a fuzz target over the files of the folders named on the command line: the corpus as a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t n = 0, room = 0, got = 0;

    if (f == NULL)
        return 0;
    do {
        n += got;
        if (n == room)
            data = realloc(data, room = room ? room * 2 : 4096);
        got = data == NULL ? 0 : fread(data + n, 1, room - n, f);
    } while (got > 0);
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int count = 0;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *entry;
        char path[4096];

        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.')
                count += replay_file(path);
        }
        if (dir != NULL)
            closedir(dir);
    }
    printf("%d inputs replayed\n", count);
    return 0;
}
