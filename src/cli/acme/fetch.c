/* See fetch.h. */
#include "fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_SECONDS = 20, TOTAL_SECONDS = 60 };

struct fetch {
    CURL *curl;
    struct curl_slist *resolve, *headers;
    struct str ca;
    struct acme_answer *answer; /* of the request under way */
    char error[CURL_ERROR_SIZE];
};

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct fetch *f = arg;

    buf_add(&f->answer->body, str_from(bytes, one * n));
    return f->answer->body.failed ? 0 : one * n; /* 0 breaks it off */
}

static void take(struct buf *to, struct str value)
{
    buf_reset(to);
    buf_add(to, value);
}

static size_t on_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct fetch *f = arg;
    struct str line = str_from(bytes, one * n), name, value;
    ptrdiff_t colon = str_find(line, ':');
    uint64_t seconds;

    if (colon < 0)
        return line.n;
    name = str_sub(line, 0, (size_t)colon);
    value = str_trim(str_skip(line, (size_t)colon + 1));
    if (str_ieq(name, STR("replay-nonce")))
        take(&f->answer->nonce, value);
    else if (str_ieq(name, STR("location")))
        take(&f->answer->location, value);
    else if (str_ieq(name, STR("retry-after")) && str_to_u64(value, 100000, &seconds))
        f->answer->retry_after = (unsigned)seconds;
    return line.n;
}

struct fetch *fetch_new(struct str ca, struct str resolve)
{
    struct fetch *f = xcalloc(1, sizeof *f);
    struct str text = str_dup(resolve);

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (f->curl = curl_easy_init()) == NULL)
        fatal("libcurl does not start");
    f->ca = str_dup(ca);
    f->resolve = curl_slist_append(NULL, text.p);
    f->headers = curl_slist_append(NULL, "Content-Type: application/jose+json");
    str_free(&text);
    return f;
}

void fetch_free(struct fetch *f)
{
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->resolve);
    curl_slist_free_all(f->headers);
    curl_global_cleanup();
    str_free(&f->ca);
    free(f);
}

static void set_up(struct fetch *f)
{
    struct curl_blob ca = {.data = (void *)(uintptr_t)f->ca.p, .len = f->ca.n, .flags = CURL_BLOB_NOCOPY};

    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(f->curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(f->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(f->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(f->curl, CURLOPT_CAINFO_BLOB, &ca);
    curl_easy_setopt(f->curl, CURLOPT_RESOLVE, f->resolve);
    curl_easy_setopt(f->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT, (long)TOTAL_SECONDS);
    curl_easy_setopt(f->curl, CURLOPT_USERAGENT, "staffetta/" VERSION);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, f);
}

bool fetch_request(struct fetch *f, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err)
{
    struct str target = str_dup(url);
    CURLcode code;
    long status = 0;

    f->answer = answer;
    f->error[0] = '\0';
    set_up(f);
    curl_easy_setopt(f->curl, CURLOPT_URL, target.p);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(f->curl, CURLOPT_NOBODY, 1L);
    if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, f->headers);
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE, (long)body.n);
        curl_easy_setopt(f->curl, CURLOPT_COPYPOSTFIELDS, body.p);
    }
    code = curl_easy_perform(f->curl);
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (unsigned)status;
    str_free(&target);
    if (code != CURLE_OK && !answer->body.failed)
        return err_set(err, ERR_TEMPORARY, "%.*s: %s", STR_ARG(url), f->error[0] != '\0' ? f->error : curl_easy_strerror(code));
    return true;
}
