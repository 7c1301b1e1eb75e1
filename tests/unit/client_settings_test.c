/* Settings for mail programs, and what Outlook asks. */
#include "roles/web/client_settings.h"
#include "roles/web/outlook_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define CERTIFICATE "certificate \"main\" { chain = /c key = /k }\n"

static struct config *parsed(const char *listeners)
{
    struct config *config = NULL;
    struct err err = {0};
    struct buf text;

    buf_init(&text, 10000);
    buf_addf(&text, "hostname = mail.example.org\n" CERTIFICATE "%s", listeners);
    if (!config_parse(&config, STR("c"), buf_str(&text), &err))
        fail_msg("%s", err.text);
    buf_clear(&text);
    return config;
}

static bool has(const struct buf *text, const char *part)
{
    return str_ifind(buf_str(text), str_of(part)) >= 0;
}

static const char all[] = "listen a { service = mx }\n"
                          "listen b { service = submission }\nlisten c { service = submission tls = implicit port = 4650 }\n"
                          "listen d { service = imap }\nlisten e { service = imap tls = implicit }\n"
                          "listen f { service = pop3 tls = none }\nlisten g { service = pop3 tls = implicit }\n";

static void mozilla(void **state)
{
    struct config *config = parsed(all);
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    client_settings_mozilla(config, STR("example.org"), &out);
    assert_true(has(&out, "<emailProvider id=\"example.org\">\n<domain>example.org</domain>"));
    assert_true(has(&out, "<incomingServer type=\"imap\">\n<hostname>mail.example.org</hostname>\n<port>993</port>\n"
                          "<socketType>SSL</socketType>\n<username>%EMAILADDRESS%</username>"));
    assert_true(has(&out, "<port>143</port>\n<socketType>STARTTLS</socketType>"));
    assert_true(has(&out, "<incomingServer type=\"pop3\">\n<hostname>mail.example.org</hostname>\n<port>995</port>"));
    assert_true(has(&out, "<outgoingServer type=\"smtp\">\n<hostname>mail.example.org</hostname>\n<port>4650</port>"));
    assert_true(has(&out, "<port>587</port>\n<socketType>STARTTLS</socketType>"));
    assert_false(has(&out, "<port>110</port>")); /* without TLS there is no login */
    assert_false(has(&out, "<port>25</port>"));
    buf_clear(&out);
    config_free(config);
}

static void outlook(void **state)
{
    struct config *config = parsed(all);
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    client_settings_outlook(config, STR("o'<b>&\"@example.org\x01"), &out);
    assert_true(has(&out, "<Type>IMAP</Type>\n<Server>mail.example.org</Server>\n<Port>993</Port>"));
    assert_true(has(&out, "<LoginName>o&#39;&lt;b&gt;&amp;&quot;@example.org?</LoginName>"));
    assert_true(has(&out, "<Type>SMTP</Type>\n<Server>mail.example.org</Server>\n<Port>4650</Port>"));
    buf_reset(&out);
    client_settings_outlook_error(&out);
    assert_true(has(&out, "<ErrorCode>600</ErrorCode>"));
    buf_clear(&out);
    config_free(config);
}

static void apple(void **state)
{
    struct config *config = parsed(all), *pop = parsed("listen g { service = pop3 tls = implicit }");
    struct buf out, again;

    (void)state;
    buf_init(&out, 100000);
    buf_init(&again, 100000);
    client_settings_apple(config, STR("example.org"), STR("ann@example.org"), &out);
    assert_true(has(&out, "<key>EmailAddress</key>\n<string>ann@example.org</string>"));
    assert_true(has(&out, "<key>IncomingMailServerPortNumber</key>\n<integer>993</integer>"));
    assert_true(has(&out, "<key>OutgoingMailServerUsername</key>\n<string>ann@example.org</string>"));
    client_settings_apple(config, STR("example.org"), STR("ann@example.org"), &again);
    assert_true(str_eq(buf_str(&out), buf_str(&again))); /* its ids too */
    buf_reset(&again);
    client_settings_apple(config, STR("example.org"), STR(""), &again);
    assert_false(has(&again, "EmailAddress</key>"));
    assert_false(has(&again, "MailServerUsername"));
    buf_reset(&again);
    client_settings_apple(pop, STR("example.org"), STR(""), &again);
    assert_true(has(&again, "EmailTypePOP"));
    assert_false(has(&again, "OutgoingMailServerHostName"));
    buf_clear(&out);
    buf_clear(&again);
    config_free(config);
    config_free(pop);
}

static void requests(void **state)
{
    static const struct {
        const char *body, *address; /* NULL: nothing to answer to */
    } bodies[] = {
        {"<Autodiscover><Request><EMailAddress>ann@example.org</EMailAddress></Request></Autodiscover>", "ann@example.org"},
        {"<a:emailaddress xmlns:a='x'>\r\n a&amp;b@example.org \t</a:emailaddress>", "a&b@example.org"},
        {"<EMailAddress/><EMailAddress>b@c.example</EMailAddress>", "b@c.example"},
        {"<LegacyEMailAddress2>x</LegacyEMailAddress2>", NULL},
        {"", NULL},
        {"<EMailAddress>", NULL},
        {"<EMailAddress>a@b.example", NULL},
        {"<EMailAddress></EMailAddress>", NULL},
        {"<EMailAddress>ann</EMailAddress>", NULL},
        {"<EMailAddress>@example.org</EMailAddress>", NULL},
        {"<EMailAddress>a@</EMailAddress>", NULL},
        {"<EMailAddress>a@b@example.org</EMailAddress>", NULL},
        {"<EMailAddress>\"a\"@example.org</EMailAddress>", NULL},
        {"<EMailAddress>a&nbsp;@example.org</EMailAddress>", NULL},
        {"<EMailAddress>&lt;a@example.org</EMailAddress>", NULL},
        {"<EMailAddress>a b@example.org</EMailAddress>", NULL},
        {"<EMailAddress>\xff@example.org</EMailAddress>", NULL},
    };
    struct buf address;

    (void)state;
    buf_init(&address, OUTLOOK_ADDRESS_MAX);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        bool ok;

        buf_reset(&address);
        ok = outlook_request_read(str_of(bodies[i].body), &address);
        if (ok != (bodies[i].address != NULL) || (ok && !str_eq(buf_str(&address), str_of(bodies[i].address))))
            fail_msg("%s", bodies[i].body);
    }
    buf_clear(&address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mozilla),
        cmocka_unit_test(outlook),
        cmocka_unit_test(apple),
        cmocka_unit_test(requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
