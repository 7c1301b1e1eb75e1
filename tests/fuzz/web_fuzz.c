/* Any bytes as a request of the command socket, as the metrics of a role, as what Outlook sends, and as an address in the settings that
 * are given out: whatever it is, no mark-up of the text comes from it. */
#include "roles/web/client_settings.h"
#include "roles/web/exposition.h"
#include "roles/web/outlook_request.h"
#include "roles/web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t tags(const struct buf *text)
{
    size_t n = 0;

    for (size_t i = 0; i < text->n; i++)
        n += text->p[i] == '<';
    return n;
}

static void settings(struct str input)
{
    static struct config *config;
    static size_t outlook_tags, apple_tags;
    struct err err = {0};
    struct buf address, out;

    if (config == NULL && !config_parse(&config, STR("c"), STR("hostname = mail.example.org\nlisten a { service = imap }"), &err))
        __builtin_trap();
    buf_init(&address, OUTLOOK_ADDRESS_MAX);
    buf_init(&out, 1 << 20);
    if (outlook_request_read(input, &address) && address.n > OUTLOOK_ADDRESS_MAX)
        __builtin_trap();
    if (outlook_tags == 0) {
        client_settings_outlook(config, STR("a@b.example"), &out);
        outlook_tags = tags(&out);
        buf_reset(&out);
        client_settings_apple(config, STR("b.example"), STR("a@b.example"), &out);
        apple_tags = tags(&out);
    }
    buf_reset(&out);
    client_settings_outlook(config, input, &out);
    if (!out.failed && tags(&out) != outlook_tags)
        __builtin_trap();
    buf_reset(&out);
    client_settings_apple(config, STR("b.example"), input, &out);
    if (!out.failed && input.n > 0 && tags(&out) != apple_tags)
        __builtin_trap();
    buf_clear(&out);
    buf_clear(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct exposition *e = exposition_new(4096);
    struct err err = {0};
    struct request r;
    struct buf out;
    int64_t sum;

    settings(input);
    request_init(&r);
    if (!request_parse(&r, input, &err) && err.kind == ERR_NONE)
        __builtin_trap();
    request_clear(&r);
    buf_init(&out, 65536);
    exposition_add(e, input);
    exposition_add(e, input);
    if (exposition_write(e, &out) && out.n > 4096)
        __builtin_trap();
    exposition_sum(e, "a", "b", &sum);
    buf_clear(&out);
    exposition_free(e);
    return 0;
}
