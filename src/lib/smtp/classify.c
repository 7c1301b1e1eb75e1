/* Why a server refused. Words say more than codes: servers answer 550 5.7.1 for a full mailbox and
 * 554 for an unknown user. So the table of words is asked first, then the enhanced code (RFC 3463),
 * then the code with the stage it came at. First match wins, so the particular stands before the
 * general. */
#include "smtp/reply.h"

static const struct {
    const char *words; /* lower or upper case alike */
    enum delivery_reason reason;
} by_words[] = {
    {"mailbox full", REASON_MAILBOX_FULL},
    {"mailbox is full", REASON_MAILBOX_FULL},
    {"inbox is full", REASON_MAILBOX_FULL},
    {"mailbox size limit exceeded", REASON_MAILBOX_FULL},
    {"over quota", REASON_MAILBOX_FULL},
    {"overquota", REASON_MAILBOX_FULL},
    {"out of storage", REASON_MAILBOX_FULL},
    {"quota exceeded", REASON_MAILBOX_FULL},
    {"exceeded storage", REASON_MAILBOX_FULL},
    {"exceeds allowed quota", REASON_MAILBOX_FULL},
    {"not enough storage", REASON_MAILBOX_FULL},
    {"greylist", REASON_RATE},
    {"graylist", REASON_RATE},
    {"grey-list", REASON_RATE},
    {"rate limit", REASON_RATE},
    {"ratelimit", REASON_RATE},
    {"rate-limit", REASON_RATE},
    {"too many connections", REASON_RATE},
    {"too many messages", REASON_RATE},
    {"too many concurrent", REASON_RATE},
    {"too many recipients", REASON_RATE},
    {"too much mail", REASON_RATE},
    {"throttl", REASON_RATE},
    {"unusual rate", REASON_RATE},
    {"try again later", REASON_RATE},
    {"connection limit", REASON_RATE},
    {"sending rate", REASON_RATE},
    {"temporarily deferred due to", REASON_RATE},
    {"user complaints", REASON_RATE},
    {"blocklist", REASON_POLICY},
    {"block list", REASON_POLICY},
    {"blacklist", REASON_POLICY},
    {"black list", REASON_POLICY},
    {"denylist", REASON_POLICY},
    {"spamhaus", REASON_POLICY},
    {"barracuda", REASON_POLICY},
    {"spamcop", REASON_POLICY},
    {"dnsbl", REASON_POLICY},
    {"reputation", REASON_POLICY},
    {"banned", REASON_POLICY},
    {"blocked", REASON_POLICY},
    {"not authorized", REASON_POLICY},
    {"relay access denied", REASON_POLICY},
    {"relaying denied", REASON_POLICY},
    {"unable to relay", REASON_POLICY},
    {"reverse dns", REASON_POLICY},
    {"ptr record", REASON_POLICY},
    {"dmarc", REASON_POLICY},
    {"spf", REASON_POLICY},
    {"dkim", REASON_POLICY},
    {"unauthenticated", REASON_POLICY},
    {"virus", REASON_CONTENT},
    {"malware", REASON_CONTENT},
    {"spam", REASON_CONTENT},
    {"unsolicited", REASON_CONTENT},
    {"content reject", REASON_CONTENT},
    {"message content", REASON_CONTENT},
    {"attachment", REASON_CONTENT},
    {"message too large", REASON_LIMIT},
    {"message size exceeds", REASON_LIMIT},
    {"exceeds maximum message size", REASON_LIMIT},
    {"exceeds size limit", REASON_LIMIT},
    {"message too big", REASON_LIMIT},
    {"starttls", REASON_TLS},
    {"encryption required", REASON_TLS},
    {"encryption needed", REASON_TLS},
    {"requires tls", REASON_TLS},
    {"user unknown", REASON_NO_USER},
    {"unknown user", REASON_NO_USER},
    {"no such user", REASON_NO_USER},
    {"no such recipient", REASON_NO_USER},
    {"no such mailbox", REASON_NO_USER},
    {"no such person", REASON_NO_USER},
    {"no mailbox here", REASON_NO_USER},
    {"mailbox not found", REASON_NO_USER},
    {"mailbox unavailable", REASON_NO_USER},
    {"user not found", REASON_NO_USER},
    {"recipient not found", REASON_NO_USER},
    {"does not exist", REASON_NO_USER},
    {"doesn't exist", REASON_NO_USER},
    {"unknown recipient", REASON_NO_USER},
    {"recipient unknown", REASON_NO_USER},
    {"unknown address", REASON_NO_USER},
    {"address unknown", REASON_NO_USER},
    {"unrouteable address", REASON_NO_USER},
    {"invalid recipient", REASON_NO_USER},
    {"invalid mailbox", REASON_NO_USER},
    {"undeliverable address", REASON_NO_USER},
    {"account disabled", REASON_NO_USER},
    {"account is disabled", REASON_NO_USER},
    {"account inactive", REASON_NO_USER},
    {"mailbox disabled", REASON_NO_USER},
    {"not our customer", REASON_NO_USER},
};

enum { ANY = 1000 };
static const struct {
    unsigned subject, detail;
    enum delivery_reason reason;
} by_enhanced[] = {
    {1, 7, REASON_POLICY}, /* the sender's address */
    {1, 8, REASON_POLICY},
    {1, 2, REASON_DNS},    /* bad destination system */
    {1, 10, REASON_DNS},   /* null MX (RFC 7505) */
    {1, 9, REASON_OTHER},
    {1, ANY, REASON_NO_USER},
    {2, 1, REASON_NO_USER}, /* mailbox disabled */
    {2, 2, REASON_MAILBOX_FULL},
    {2, 3, REASON_LIMIT},
    {3, 1, REASON_MAILBOX_FULL},
    {3, 2, REASON_RATE},
    {3, 4, REASON_LIMIT},
    {4, 3, REASON_DNS},
    {4, 4, REASON_DNS},
    {4, 5, REASON_RATE},
    {4, 7, REASON_EXPIRED},
    {4, ANY, REASON_NETWORK},
    {5, 3, REASON_RATE}, /* too many recipients */
    {5, ANY, REASON_PROTOCOL},
    {6, 7, REASON_PROTOCOL}, /* non-ASCII addresses not taken (RFC 6531) */
    {6, 8, REASON_PROTOCOL},
    {6, 9, REASON_PROTOCOL},
    {6, ANY, REASON_CONTENT},
    {7, 10, REASON_TLS},
    {7, 11, REASON_TLS},
    {7, 30, REASON_TLS}, /* REQUIRETLS (RFC 8689) */
    {7, ANY, REASON_POLICY},
};

static const struct {
    unsigned code;
    int stage; /* -1: any */
    enum delivery_reason reason;
} by_code[] = {
    {421, -1, REASON_RATE},
    {450, STAGE_RCPT, REASON_RATE}, /* greylisting, mostly */
    {451, STAGE_RCPT, REASON_RATE},
    {452, -1, REASON_RATE},
    {454, STAGE_TLS, REASON_TLS},
    {552, STAGE_RCPT, REASON_MAILBOX_FULL},
    {552, -1, REASON_LIMIT},
    {550, STAGE_RCPT, REASON_NO_USER},
    {551, STAGE_RCPT, REASON_NO_USER},
    {553, STAGE_RCPT, REASON_NO_USER},
    {550, STAGE_END, REASON_CONTENT},
    {554, STAGE_END, REASON_CONTENT},
    {554, STAGE_CONNECT, REASON_POLICY},
    {550, -1, REASON_POLICY},
    {554, -1, REASON_POLICY},
    {530, -1, REASON_POLICY},
    {535, -1, REASON_POLICY},
    {523, -1, REASON_TLS},
    {538, -1, REASON_TLS},
    {500, -1, REASON_PROTOCOL},
    {501, -1, REASON_PROTOCOL},
    {502, -1, REASON_PROTOCOL},
    {503, -1, REASON_PROTOCOL},
    {504, -1, REASON_PROTOCOL},
    {555, -1, REASON_PROTOCOL},
};

static enum delivery_reason from_enhanced(const struct enhanced *e)
{
    for (size_t i = 0; i < sizeof by_enhanced / sizeof *by_enhanced; i++)
        if (by_enhanced[i].subject == e->subject &&
            (by_enhanced[i].detail == e->detail || by_enhanced[i].detail == ANY))
            return by_enhanced[i].reason;
    return REASON_NONE;
}

static enum delivery_reason from_code(unsigned code, enum smtp_stage stage)
{
    for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == code && (by_code[i].stage == -1 || by_code[i].stage == (int)stage))
            return by_code[i].reason;
    return REASON_OTHER;
}

enum delivery_reason reply_classify(unsigned code, struct str text, enum smtp_stage stage)
{
    enum delivery_reason reason;
    struct enhanced e = {0};

    if (code < 400)
        return REASON_NONE;
    enhanced_parse(&text, &e);
    for (size_t i = 0; i < sizeof by_words / sizeof *by_words; i++)
        if (str_ifind(text, str_of(by_words[i].words)) >= 0)
            return by_words[i].reason;
    reason = from_enhanced(&e);
    return reason != REASON_NONE ? reason : from_code(code, stage);
}

const char *delivery_reason_name(enum delivery_reason reason)
{
    static const char *const names[] = REASON_NAMES;

    return (size_t)reason < sizeof names / sizeof *names ? names[reason] : "other";
}
