/* Mail that was forwarded may fail DMARC here and have passed it where it was forwarded: whoever sealed it there (ARC,
 * RFC 8617 7.2.1) says so, and is believed if the settings name him. Pure. */
#pragma once
#include "judge.h"
#include "verdict.h"

/* Walks the chain from the newest set down while the sealers are trusted; true where one of these found that DMARC passed for this
 * author (a canonical domain). *sealer: that one; a view valid as long as the judge. */
bool rescue_by_seal(const struct judge *j, const struct domain_list *trusted, struct str author, struct str *sealer);
