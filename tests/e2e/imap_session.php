<?php
// A session of PHP's imap extension, which is the University of Washington's c-client, as Alpine and many web programs use it.
// Every step says its name when it held.
//
// usage: php imap_session.php "{HOST:PORT/imap/ssl/novalidate-cert}" USER PASSWORD
[, $server, $user, $password] = $argv;

function check($fact, string $what): void
{
    if (!$fact) {
        fwrite(STDERR, "$what does not hold: " . implode('; ', imap_errors() ?: []) . "\n");
        exit(1);
    }
    echo "held: $what\n";
}

function letter(string $mark): string
{
    return "From: Carla Far <carla@far.example>\r\nTo: Ann Home <ann@home.example>\r\nSubject: $mark =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" .
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <$mark@far.example>\r\nMIME-Version: 1.0\r\n" .
        "Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis is $mark.\r\n" .
        "--=_b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\n" .
        "Content-Transfer-Encoding: base64\r\n\r\n" . base64_encode("%PDF of $mark") . "\r\n--=_b--\r\n";
}

$box = imap_open("{$server}INBOX", $user, $password, 0, 1);
check($box, 'open');
for ($i = 1; $i <= 5; $i++)
    imap_append($box, "{$server}INBOX", letter("p-$i"), $i === 1 ? '\\Seen' : '', sprintf('%02d-Jan-2026 10:00:00 +0000', $i)) || check(false, "append $i");
imap_ping($box);
check(imap_num_msg($box) === 5, 'append');

$all = imap_fetch_overview($box, '1:5');
check(count($all) === 5 && $all[2]->message_id === '<p-3@far.example>' && $all[0]->seen === 1 && $all[1]->seen === 0, 'overview');
check(iconv_mime_decode($all[2]->subject, 0, 'UTF-8') === 'p-3 Grüße', 'encoded words');
$tree = imap_fetchstructure($box, 3);
check($tree->subtype === 'MIXED' && $tree->parts[1]->subtype === 'PDF' && $tree->parts[1]->dparameters[0]->value === 'a.pdf', 'structure');
check(imap_fetchbody($box, 3, '1', FT_PEEK) === "This is p-3.", 'a part');
check(base64_decode(imap_fetchbody($box, 3, '2', FT_PEEK)) === '%PDF of p-3', 'an attachment');
check(imap_fetchheader($box, 3) . imap_body($box, 3, FT_PEEK) === letter('p-3'), 'byte for byte');
check(imap_headerinfo($box, 3)->from[0]->mailbox === 'carla', 'envelope');

check(imap_search($box, 'SUBJECT "p-4"', SE_UID) === [4], 'search');
check(imap_search($box, 'UNSEEN SINCE "3-Jan-2026" TEXT "this is"', SE_UID, 'UTF-8') === [3, 4, 5], 'search with a charset');
check(imap_sort($box, SORTARRIVAL, true) === [5, 4, 3, 2, 1], 'sort');
check(count(imap_thread($box)) === 15, 'thread');

check(imap_setflag_full($box, '2:3', '\\Flagged \\Answered'), 'set flags');
check(imap_clearflag_full($box, '3', '\\Flagged', ST_UID), 'clear flags');
$two = imap_fetch_overview($box, '2:3');
check($two[0]->flagged === 1 && $two[1]->flagged === 0 && $two[1]->answered === 1, 'flags');

check(imap_createmailbox($box, "{$server}Gr&APYA3w-e/2026"), 'create');
$names = array_map(fn ($m) => substr($m->name, strlen($server)), imap_getmailboxes($box, $server, '*'));
check(in_array('Gr&APYA3w-e/2026', $names, true) && in_array('Sent', $names, true), 'list');
check(imap_subscribe($box, "{$server}Gr&APYA3w-e/2026") && in_array("{$server}Gr&APYA3w-e/2026", imap_lsub($box, $server, '*'), true), 'subscriptions');
check(imap_mail_copy($box, '1', 'Gr&APYA3w-e/2026'), 'copy');
check(imap_mail_move($box, '2', 'Archive', CP_UID), 'move');
imap_delete($box, '4', FT_UID);
check(imap_expunge($box) && imap_num_msg($box) === 3, 'expunge');
$status = imap_status($box, "{$server}Archive", SA_ALL);
check($status->messages === 1 && $status->uidnext === 2, 'status');
check(imap_renamemailbox($box, "{$server}Gr&APYA3w-e", "{$server}Masse") && imap_reopen($box, "{$server}Masse/2026", OP_READONLY) && imap_num_msg($box) === 1, 'rename');
check(imap_reopen($box, "{$server}INBOX") && imap_uid($box, 3) === 5 && imap_msgno($box, 5) === 3, 'numbers and uids');
check(imap_deletemailbox($box, "{$server}Masse/2026"), 'delete a mailbox');
check(imap_close($box) && imap_errors() === false, 'all, without a word of complaint');
