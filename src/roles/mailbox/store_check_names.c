/* Names, and packed flags: what is told to clients as it stands must be something that can be told. See store_check.h. */
#include "store_check_private.h"
#include "imap/command.h"

static bool has_control(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return true;
    return false;
}

static bool is_flag(struct str name)
{
    static const char never[] = "(){ %*\"\\]";

    for (size_t i = 0; i < sizeof never - 1; i++)
        if (str_find(name, never[i]) >= 0)
            return false;
    return name.n > 0 && !has_control(name);
}

static bool is_special(struct str special)
{
    return special.n == 0 || (special.p[0] == '\\' && is_flag(str_skip(special, 1)));
}

bool check_folder_name(struct store_check *c, struct stmt *row, struct err *err)
{
    struct str name = column_str(row, 1);

    c->has_inbox |= column_int(row, 0) == STORE_INBOX;
    if (++c->wrong > STORE_FOLDERS_MAX)
        return check_found(err, "it has too many folders");
    if (name.n == 0 || !str_is_utf8(name) || has_control(name) || !is_special(column_str(row, 2)))
        return check_found(err, "it has a folder with a name that cannot be");
    return true;
}

bool check_folder_names_end(struct store_check *c, struct err *err)
{
    return c->has_inbox || c->wrong == 0 || check_found(err, "it has no INBOX");
}

bool check_keyword(struct store_check *c, struct stmt *row, struct err *err)
{
    int64_t slot = column_int(row, 0);
    struct str name = column_str(row, 1);

    (void)c;
    if (slot < 0 || slot >= STORE_KEYWORDS_MAX)
        return check_found(err, "it has too many keywords");
    if (!is_flag(name) || name.n > IMAP_KEYWORD_MAX || !str_is_printable(name)) /* as STORE takes them */
        return check_found(err, "it has a keyword that cannot be");
    return true;
}

static bool is_plausible(const struct flag_block *block, int64_t modseq)
{
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        if (flag_block_has(block, i) && (block->at[i].modseq < 0 || block->at[i].modseq > modseq || block->at[i].size < 0 ||
            block->at[i].size > INT64_C(1000000000000)))
            return false;
    return true;
}

/* What is packed has the bounds of `message`. */
bool check_flag_block(struct store_check *c, struct stmt *row, struct err *err)
{
    struct flag_block *block = &c->folder.flags;

    if (flag_block_unpack(block, column_str(row, 0)) && is_plausible(block, column_int(row, 1)))
        return true;
    return check_found(err, "it has blocks of flags with numbers that cannot be");
}
