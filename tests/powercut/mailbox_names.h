/* Put in front of the mailbox role's sources (-include) where they are linked with the queue role's: both have a
 * store, and both are given a framework by the test. */
#pragma once
#define store_open mailbox_store_open
#define store_close mailbox_store_close
#define events_init mailbox_events_init
#define role_peer mailbox_role_peer
#define role_copy mailbox_role_copy
#define role_copies mailbox_role_copies
#define role_next_id mailbox_role_next_id
#define channel_serial mailbox_channel_serial
#define channel_copy mailbox_channel_copy
#define channel_gave mailbox_channel_gave
#define channel_took mailbox_channel_took
#define verify_equal mailbox_verify_equal
#define ipc_send_account_ask mailbox_send_account_ask
#define ipc_send_body_ask mailbox_send_body_ask
#define ipc_send_name_ask mailbox_send_name_ask
#define ipc_send_share_note mailbox_send_share_note
#define ipc_send_shares_ask mailbox_send_shares_ask
#define ipc_send_deliver_done mailbox_send_deliver_done
#define ipc_send_rcpt_done mailbox_send_rcpt_done
