/* Our half of tests/check/dkim: a message comes on standard input.
 *
 *   dkim_peer sign DOMAIN KEY.pem ...   writes it signed; selectors are s0, s1 ...
 *   dkim_peer verify ZONE               says what each signature is worth; ZONE has lines "NAME TEXT"
 *   dkim_peer seal DOMAIN KEY.pem CHAIN writes it with one more ARC set, selector s0; CHAIN: none, pass or fail
 *   dkim_peer arc ZONE                  says what its chain is worth: "pass 2 0" (sets, oldest-pass) */
#include "../unit/arc_sealer.h"
#include "../unit/dkim_world.h"
#include "mailauth/dkim_sign.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void read_input(struct buf *message)
{
    char piece[4096];
    size_t n;

    buf_init(message, 8 << 20);
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_add(message, str_from(piece, n));
}

static int sign(struct str message, char **words, int n)
{
    struct dkim_test_key keys[DKIM_SIGN_KEYS_MAX] = {{0}};
    struct buf out;
    bool ok;

    for (int i = 1; i < n && i <= DKIM_SIGN_KEYS_MAX; i++) {
        FILE *f = fopen(words[i], "r");

        if (f == NULL || (keys[i - 1].pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL)
            return 1;
        fclose(f);
    }
    ok = dkim_sign_message(keys, (size_t)n - 1, words[0], (uint64_t)time(NULL), message, &out);
    fwrite(out.p, 1, out.n, stdout);
    for (int i = 1; i < n; i++)
        dkim_clear_key(&keys[i - 1]);
    buf_clear(&out);
    return ok ? 0 : 1;
}

static int seal(struct str message, const char *domain, const char *pem, const char *chain)
{
    struct dkim_test_key key = {0};
    FILE *f = fopen(pem, "r");
    struct buf out;
    bool ok;

    if (f == NULL || (key.pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL)
        return 1;
    fclose(f);
    ok = arc_seal_message(&key, domain, "s0", (uint64_t)time(NULL),
        strcmp(chain, "none") == 0 ? ARC_NONE : strcmp(chain, "pass") == 0 ? ARC_PASS : ARC_FAIL, message, &out);
    fwrite(out.p, 1, out.n, stdout);
    dkim_clear_key(&key);
    buf_clear(&out);
    return ok ? 0 : 1;
}

static bool read_zone(const char *path, struct dkim_zone *zone)
{
    char line[5000];
    FILE *f = fopen(path, "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *text = strchr(line, ' ');

        line[strcspn(line, "\n")] = '\0';
        if (text == NULL)
            continue;
        *text++ = '\0';
        dkim_zone_add(zone, line, text);
    }
    if (f != NULL)
        fclose(f);
    return f != NULL;
}

static int verify(struct str message, const char *path)
{
    static struct dkim_zone zone;
    struct dkim_verify *v;

    if (!read_zone(path, &zone))
        return 1;
    v = dkim_verify_message(&zone, message, (uint64_t)time(NULL), (struct dkim_way){997, false});
    puts(dkim_describe(v));
    dkim_verify_free(v);
    return 0;
}

static int verify_chain(struct str message, const char *path)
{
    static struct dkim_zone zone;
    const struct arc_outcome *o;
    struct arc_verify *v;

    if (!read_zone(path, &zone))
        return 1;
    v = arc_verify_message(&zone, message, (uint64_t)time(NULL), (struct dkim_way){997, false});
    o = arc_verify_outcome(v);
    printf("%s %u %u %s\n", arc_result_name(o->result), o->sets, o->oldest_pass, o->reason);
    arc_verify_free(v);
    return 0;
}

int main(int argc, char **argv)
{
    struct buf message;
    int status = 64;

    read_input(&message);
    if (argc > 3 && argc <= 3 + DKIM_SIGN_KEYS_MAX && strcmp(argv[1], "sign") == 0)
        status = sign(buf_str(&message), argv + 2, argc - 2);
    else if (argc == 3 && strcmp(argv[1], "verify") == 0)
        status = verify(buf_str(&message), argv[2]);
    else if (argc == 5 && strcmp(argv[1], "seal") == 0)
        status = seal(buf_str(&message), argv[2], argv[3], argv[4]);
    else if (argc == 3 && strcmp(argv[1], "arc") == 0)
        status = verify_chain(buf_str(&message), argv[2]);
    buf_clear(&message);
    return status;
}
