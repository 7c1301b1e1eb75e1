/* The packed words of control_ask: "list\0domain=example.org\0limit=100\0". */
#pragma once
#include "base/str.h"

/* The i-th word that is not an option (has no '=' after a name of letters, digits, '_' and '-'); empty when there is none.
 * An address such as "a=b@c" is passed as a word by the sender putting it behind an option name. */
struct str args_word(struct str args, size_t i);
/* Is it one of the words? */
bool args_has_word(struct str args, const char *word);
/* The value of option `name`; false, and *value untouched, when it was not given. */
bool args_option(struct str args, const char *name, struct str *value);
/* Walks all options: start with *at = args. */
bool args_next_option(struct str *at, struct str *name, struct str *value);
