/* IMAP before login fed with any bytes. See login_any.h. */
#include "login_any.h"
#include "roles/access/imap_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    login_any(&imap_login, true, data, size);
    return 0;
}
