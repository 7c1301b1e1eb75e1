/* Requests of ACME over HTTPS with libcurl, one after the other. Only https, nothing is followed, answers are bounded in octets and time;
 * names are not looked up: the addresses are told, so that a process without files can do it. */
#pragma once
#include "issue.h"

struct fetch;

/* ca: PEM of trusted certificates. resolve: "host:port:address,address" of the one host there is. Before the sandbox. */
struct fetch *fetch_new(struct str ca, struct str resolve);
void fetch_free(struct fetch *f);
/* As in struct acme_world; arg is the struct fetch. */
bool fetch_request(struct fetch *f, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err);
