/* The sites of web: for this machine (metrics), and for the world over TLS and in plain. */
#pragma once
#include "http.h"

extern const struct http_site metrics_site, world_site, plain_site;
