/* POP3 before login fed with any bytes. See login_any.h. */
#include "login_any.h"
#include "roles/access/pop3_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    login_any(&pop3_login, false, data, size);
    return 0;
}
