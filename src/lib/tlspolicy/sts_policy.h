/* MTA-STS (RFC 8461): the record that says a domain has a policy and which one, and the policy itself. Pure: nothing is
 * fetched here. */
#pragma once
#include "policy_text.h"

enum { STS_ID_MAX = 32, STS_POLICY_MAX = 64 * 1024, STS_AGE_MAX = 31557600 };

struct sts_record {
    char id[STS_ID_MAX + 1];
};
/* Reads the text of a record at "_mta-sts.DOMAIN". */
bool sts_record_read(struct str text, struct sts_record *record);
/* The same of an answer of DNS with all its TXT records. POLICY_NONE and POLICY_BAD: there is no policy. */
enum policy_found sts_record_of(struct str records, struct sts_record *record);

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
const char *sts_mode_name(enum sts_mode mode); /* "enforce" */

struct sts_policy {
    enum sts_mode mode;
    uint32_t max_age;   /* seconds; at most STS_AGE_MAX, which a larger one counts as */
    unsigned patterns;  /* lines "mx:" */
    struct str text;    /* a view into what was read: the patterns stay there */
};

/* Reads a policy file. False with a reason (a literal) for people: it is no policy (sts-policy-invalid). Fields that are not
 * known are passed over; of one that comes twice, except mx, the first counts; empty lines are let through. */
bool sts_policy_read(struct str text, struct sts_policy *policy, const char **why);
/* Does a pattern match the name of this MX (4.1)? "*." stands for exactly one label. */
bool sts_policy_allows(const struct sts_policy *policy, struct str host);
/* Cuts the next pattern off *rest, which begins as policy.text; false at the end. For reports. */
bool sts_policy_next_pattern(struct str *rest, struct str *pattern);
/* Is that the media type of a policy ("text/plain", with any parameters)? */
bool sts_is_media_type(struct str content_type);
