/* Any bytes as staffetta.conf: accepted, or refused with "file:line: ..."; never more. */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = NULL;
    struct err err = {0};

    if (config_parse(&c, STR("f"), str_from((const char *)data, size), &err))
        config_free(c);
    else if (err.kind == ERR_NONE || strncmp(err.text, "f:", 2) != 0)
        abort();
    return 0;
}
