/* What `staffetta certificate renew` remembers: one JSON object in DATA/acme/state, replaced as a whole. When it is lost, the only thing
 * lost is a pause. */
#include "base/clock.h"
#include "base/json.h"
#include "cli/certificate.h"
#include "cli/setup.h"

#include <stdio.h>
#include <string.h>

static void path_of(const struct renewal *r, char path[4200])
{
    snprintf(path, 4200, "%s/state", r->folder);
}

static int64_t number_of(struct str json, const char *key)
{
    struct buf text;
    uint64_t n = 0;

    buf_init(&text, 64);
    if (!json_read(json, key, &text) || !str_to_u64(buf_str(&text), INT64_MAX / SECOND, &n))
        n = 0;
    buf_clear(&text);
    return (int64_t)n;
}

void renewal_state_read(const struct renewal *r, struct renewal_state *state)
{
    char path[4200], json[4096];
    struct buf text;
    size_t n = 0;
    FILE *f;

    *state = (struct renewal_state){0};
    path_of(r, path);
    f = fopen(path, "re");
    if (f == NULL)
        return;
    n = fread(json, 1, sizeof json, f);
    fclose(f);
    state->failures = number_of(str_from(json, n), "failures");
    state->next = number_of(str_from(json, n), "next") * SECOND;
    buf_init(&text, RENEWAL_TEXT - 1);
    if (json_read(str_from(json, n), "error", &text))
        snprintf(state->error, sizeof state->error, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&text);
}

bool renewal_state_write(const struct renewal *r, const struct renewal_state *state, struct err *err)
{
    char path[4200];
    struct buf json;
    bool ok;

    path_of(r, path);
    buf_init(&json, 4096);
    json_open(&json);
    json_int(&json, "failures", state->failures);
    json_int(&json, "next", state->next / SECOND);
    json_str(&json, "error", str_of(state->error));
    json_close(&json);
    ok = setup_write_file(path, buf_str(&json), 0600, err);
    buf_clear(&json);
    return ok;
}

int64_t renewal_pause(int64_t failures)
{
    static const int64_t hours[] = {1, 2, 4, 8, 24};
    size_t last = sizeof hours / sizeof *hours;

    return failures <= 0 ? 0 : hours[(size_t)failures > last ? last - 1 : (size_t)failures - 1] * HOUR;
}
