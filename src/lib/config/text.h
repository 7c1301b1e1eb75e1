/* Inside of config/: the text before libconfuse sees it. */
#pragma once
#include "base/buf.h"

/* Copies text with its comments blanked (line numbers stay true) and a NUL at the end, and refuses
 * what libconfuse would take in silence: control bytes, open strings and comments, ${VARIABLES}.
 * On failure *line says where. */
MUST_CHECK bool config_text_clean(struct buf *out, struct str text, int *line, struct err *err);
