/* Any bytes as a command line: refused with a code and an enhanced code, or values within their bounds. */
#include "smtp/command.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct refusal *no)
{
    assert(no->code >= 500 && no->code < 560 && no->text != NULL && no->text[0] == '5' && no->text[1] == '.');
}

static void try_mail(struct str args, unsigned extensions)
{
    struct mail_command m;
    struct refusal no = {0};

    if (!command_parse_mail(args, extensions, &m, &no)) {
        check_refusal(&no);
        return;
    }
    assert(m.priority <= 18 && m.size <= INT64_MAX && m.hold_for <= 999999999 && m.hold_until >= 0);
    assert(m.envid.n <= 100 && xtext_is_valid(m.envid) && xtext_is_valid(m.auth));
    assert(!m.sender.utf8 || m.flags & TXN_SMTPUTF8);
}

static void try_rcpt(struct str args, unsigned extensions, unsigned flags)
{
    struct rcpt_command r;
    struct refusal no = {0};

    if (!command_parse_rcpt(args, extensions, flags, &r, &no)) {
        check_refusal(&no);
        return;
    }
    assert(r.rcpt.local.n > 0 && r.notify < 16);
    assert(r.orcpt.n == 0 || orcpt_is_valid(r.orcpt));
    assert(!r.rcpt.utf8 || flags & ADDRESS_UTF8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct refusal no = {0};
    struct command c;
    struct str name;
    uint64_t bytes;
    bool last;

    if (size < 1)
        return 0;
    c = command_parse((struct str){(const char *)data + 1, size - 1});
    try_mail(c.args, data[0] & 1 ? ~0u : data[0]);
    try_rcpt(c.args, data[0] & 1 ? ~0u : data[0], data[0] & 7u);
    if (!command_parse_bdat(c.args, &bytes, &last, &no))
        check_refusal(&no);
    if (!command_parse_helo(c.args, &name, &no))
        check_refusal(&no);
    return 0;
}
