// A session of imapflow, as a web mail or a phone's background service holds it: the tree of mailboxes, append, fetch of structure and
// parts, search, flags, copy, move, delete, IDLE with two connections, coming back with QRESYNC. Every step says its name when it held.
//
// usage: node session.mjs PORT implicit|starttls USER PASSWORD CA-FILE   (in the folder where imapflow is installed)
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { ImapFlow } = createRequire(process.cwd() + '/')('imapflow');
const [port, tls, user, pass, ca] = process.argv.slice(2);

async function connect(options = {}) {
    const client = new ImapFlow({
        host: '127.0.0.1', port: Number(port), secure: tls === 'implicit', doSTARTTLS: tls === 'starttls' ? true : undefined, auth: { user, pass },
        tls: { ca: readFileSync(ca), servername: 'mail.home.example' }, logger: false, qresync: true, ...options,
    });
    client.on('error', error => { throw error; });
    await client.connect();
    return client;
}

// The next event of this name that fits.
const next = (client, name, fits = () => true) => new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no event ${name}`)), 60000);
    const on = event => {
        if (fits(event)) {
            clearTimeout(late);
            client.off(name, on);
            resolve(event);
        }
    };
    client.on(name, on);
});

const gather = async found => {
    const all = [];
    for await (const one of found)
        all.push(one);
    return all;
};

const letter = (mark, body = `This is ${mark}.`) => [
    'From: Carla Far <carla@far.example>', 'To: Ann Home <ann@home.example>', `Subject: ${mark} =?utf-8?q?Gr=C3=BC=C3=9Fe?=`,
    'Date: Sun, 22 Nov 2026 10:00:00 +0000', `Message-ID: <${mark}@far.example>`, 'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="=_b"', '', '--=_b', 'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable', '', `${body} caf=C3=A9`, '--=_b', 'Content-Type: application/pdf; name="a.pdf"',
    'Content-Disposition: attachment; filename="a.pdf"', 'Content-Transfer-Encoding: base64', '',
    Buffer.from('%PDF-1.4 of ' + mark).toString('base64'), '--=_b--', ''].join('\r\n');

const steps = {
    async 'login and what is enabled'(c) {
        assert.ok(c.authenticated);
        for (const word of ['IDLE', 'UIDPLUS', 'MOVE', 'CONDSTORE', 'QRESYNC', 'NAMESPACE', 'SPECIAL-USE', 'LIST-STATUS'])
            assert.ok(c.capabilities.has(word), word);
        for (const word of ['CONDSTORE', 'UTF8=ACCEPT', 'QRESYNC'])
            assert.ok(c.enabled.has(word), `${word} is not enabled`);
        assert.equal(c.namespace.delimiter, '/');
    },

    async 'the tree of mailboxes'(c) {
        assert.equal((await c.mailboxCreate(['Projects', 'Größe', '2026'])).created, true);
        assert.equal((await c.mailboxCreate('Projects/Größe/2026')).created, false);
        const list = await c.list({ statusQuery: { messages: true, unseen: true, uidNext: true } });
        const uses = Object.fromEntries(list.filter(f => f.specialUse).map(f => [f.path, f.specialUse]));
        assert.deepEqual(uses, { INBOX: '\\Inbox', Archive: '\\Archive', Drafts: '\\Drafts', Junk: '\\Junk', Sent: '\\Sent', Trash: '\\Trash' });
        assert.equal(list.find(f => f.path === 'INBOX').status.messages, 0);
        const tree = await c.listTree();
        const down = tree.folders.find(f => f.name === 'Projects').folders[0];
        assert.equal(down.name, 'Größe');
        assert.equal(down.folders[0].path, 'Projects/Größe/2026');
        await c.mailboxRename('Projects/Größe', 'Projects/Maße');
        assert.ok((await c.list()).some(f => f.path === 'Projects/Maße/2026'));
        await c.mailboxSubscribe('Projects/Maße/2026');
        assert.ok((await c.list()).find(f => f.path === 'Projects/Maße/2026').subscribed);
        assert.ok(await c.mailboxUnsubscribe('Projects/Maße/2026'));
        await c.mailboxDelete('Projects/Maße/2026');
        assert.ok(!(await c.list()).some(f => f.path === 'Projects/Maße/2026'));
    },

    async 'append'(c) {
        for (let i = 1; i <= 6; i++) {
            const done = await c.append('INBOX', letter(`m-${i}`), i === 1 ? ['\\Seen', '$Mine'] : [], new Date(Date.UTC(2026, 0, i, 12)));
            assert.equal(done.uid, i);
            assert.equal(done.destination, 'INBOX');
        }
        await assert.rejects(c.append('Nowhere', letter('x')), error => error.serverResponseCode === 'TRYCREATE');
        const status = await c.status('INBOX', { messages: true, unseen: true, uidNext: true, highestModseq: true });
        assert.deepEqual([status.messages, status.unseen, status.uidNext], [6, 5, 7]);
    },

    async 'fetch'(c) {
        const box = await c.mailboxOpen('INBOX');
        assert.deepEqual([box.exists, box.uidNext, box.readOnly], [6, 7, false]);
        const all = await gather(c.fetch('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, threadId: true }));
        assert.deepEqual(all.map(m => m.uid), [1, 2, 3, 4, 5, 6]);
        assert.deepEqual([...all[0].flags].sort(), ['$Mine', '\\Seen']);
        assert.equal(all[2].envelope.subject, 'm-3 Grüße');
        assert.equal(all[2].envelope.from[0].address, 'carla@far.example');
        assert.equal(all[2].internalDate.toISOString(), '2026-01-03T12:00:00.000Z');
        assert.equal(all[2].size, letter('m-3').length);
        assert.ok(all[2].threadId && all[2].emailId);
        assert.deepEqual(all[2].bodyStructure.childNodes.map(n => [n.part, n.type, n.encoding, n.disposition]),
            [['1', 'text/plain', 'quoted-printable', undefined], ['2', 'application/pdf', 'base64', 'attachment']]);
        assert.equal(all[2].bodyStructure.childNodes[1].dispositionParameters.filename, 'a.pdf');
        const one = await c.fetchOne('3', { source: true, headers: ['subject', 'date'], bodyParts: ['1', '2.mime'] }, { uid: true });
        assert.equal(one.source.toString(), letter('m-3'));
        assert.match(one.headers.toString(), /^Subject: m-3 /);
        assert.match(one.bodyParts.get('2.mime').toString(), /application\/pdf/);
        const text = await c.download('3', '1', { uid: true });
        assert.equal((await gather(text.content)).join(''), 'This is m-3. café');
        assert.equal((await gather((await c.download('3', '2', { uid: true })).content)).join(''), '%PDF-1.4 of m-3');
        assert.equal((await gather((await c.download('3', undefined, { uid: true, chunkSize: 100 })).content)).join(''), letter('m-3'));
    },

    async 'search'(c) {
        assert.deepEqual(await c.search({ subject: 'm-4' }, { uid: true }), [4]);
        assert.deepEqual(await c.search({ subject: 'grüsse' }, { uid: true }), [1, 2, 3, 4, 5, 6]);
        assert.deepEqual(await c.search({ body: 'CAFÉ' }, { uid: true }), [1, 2, 3, 4, 5, 6]);
        assert.deepEqual(await c.search({ or: [{ subject: 'm-2' }, { seen: true }] }, { uid: true }), [1, 2]);
        assert.deepEqual(await c.search({ since: new Date(Date.UTC(2026, 0, 5)), not: { keyword: '$Mine' } }, { uid: true }), [5, 6]);
        assert.deepEqual(await c.search({ header: { 'message-id': 'm-6@' } }), [6]);
        assert.deepEqual(await c.search({ emailId: (await c.fetchOne('2', { threadId: true })).emailId }), [2]);
        assert.deepEqual(await c.search({ body: 'nothing of the kind' }), []);
    },

    async 'flags'(c) {
        assert.ok(await c.messageFlagsAdd('2:3', ['\\Flagged', 'Important'], { uid: true }));
        assert.ok(await c.messageFlagsRemove('3', ['\\Flagged'], { uid: true }));
        assert.ok(await c.messageFlagsSet('4', ['\\Answered'], { uid: true }));
        assert.ok(await c.setFlagColor('5', 'green', { uid: true }));
        const all = await gather(c.fetch('2:5', { flags: true }));
        assert.deepEqual(all.map(m => [...m.flags].sort()),
            [['Important', '\\Flagged'], ['Important'], ['\\Answered'], ['$MailFlagBit0', '$MailFlagBit1', '\\Flagged']]);
        assert.equal(all[3].flagColor, 'green');
        const old = (await c.fetchOne('6', { flags: true })).modseq;
        await c.messageFlagsAdd('6', ['\\Seen']);
        await c.messageFlagsAdd('6', ['\\Draft'], { unchangedSince: old });
        assert.deepEqual([...(await c.fetchOne('6', { flags: true })).flags], ['\\Seen'], 'changed in spite of UNCHANGEDSINCE');
    },

    async 'copy, move, delete'(c) {
        const copied = await c.messageCopy('1:2', 'Archive', { uid: true });
        assert.deepEqual([...copied.uidMap], [[1, 1], [2, 2]]);
        const moved = await c.messageMove('3', 'Archive', { uid: true });
        assert.deepEqual([...moved.uidMap], [[3, 3]]);
        assert.ok(await c.messageDelete('4', { uid: true }));
        assert.deepEqual((await gather(c.fetch('1:*', { uid: true }))).map(m => m.uid), [1, 2, 5, 6]);
        await c.mailboxOpen('Archive', { readOnly: true });
        assert.deepEqual((await gather(c.fetch('1:*', { envelope: true }))).map(m => m.envelope.subject.slice(0, 3)), ['m-1', 'm-2', 'm-3']);
        assert.equal(await c.messageFlagsAdd('1', ['\\Deleted']), false, 'a mailbox opened to read was changed');
        await c.mailboxOpen('INBOX');
    },

    async 'two connections, one of them in IDLE'(c) {
        const other = await connect();
        await other.mailboxOpen('INBOX');
        const idling = other.idle();
        let seen = next(other, 'exists', e => e.count === 5);
        const { uid } = await c.append('INBOX', letter('m-7'));
        assert.equal((await seen).prevCount, 4);
        seen = next(other, 'flags', e => e.flags.has('\\Flagged'));
        await c.messageFlagsAdd(String(uid), ['\\Flagged'], { uid: true });
        assert.equal((await seen).seq, 5);
        seen = next(other, 'expunge', e => e.uid === 2);
        await c.messageDelete('2', { uid: true });
        assert.equal((await seen).vanished, true);
        // A command in the middle of IDLE: DONE and the command at once.
        assert.deepEqual((await gather(other.fetch('1:*', { uid: true }))).map(m => m.uid), [1, 5, 6, uid]);
        await idling;
        await other.logout();
    },

    async 'coming back with QRESYNC'(c) {
        const { uidValidity, highestModseq } = await c.mailboxOpen('INBOX');
        const other = await connect();
        await other.mailboxOpen('INBOX');
        const changedUid = 5;
        await other.messageFlagsAdd(String(changedUid), ['$Later'], { uid: true });
        await other.messageDelete('6', { uid: true });
        await other.logout();
        await c.mailboxClose();
        const told = [], gone = [];
        const onFlags = e => told.push(e.uid), onGone = e => gone.push(e.uid);
        c.on('flags', onFlags);
        c.on('expunge', onGone);
        const box = await c.mailboxOpen('INBOX', { uidValidity, changedSince: highestModseq });
        assert.ok(box.highestModseq > highestModseq);
        assert.deepEqual([told, gone], [[changedUid], [6]]);
        c.off('flags', onFlags);
        c.off('expunge', onGone);
        const since = await gather(c.fetch('1:*', { flags: true }, { uid: true, changedSince: highestModseq }));
        assert.deepEqual(since.map(m => m.uid), [changedUid]);
    },

    async 'quota and a long pipeline'(c) {
        const quota = await c.getQuota('INBOX');
        assert.ok(quota === false || typeof quota === 'object');
        const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? c.noop() : c.fetchOne('1', { flags: true }))));
        assert.equal(answers.length, 200);
    },
};

const client = await connect();
for (const [name, step] of Object.entries(steps)) {
    await step(client);
    console.log(`held: ${name}`);
}
await client.logout();
console.log(`held: all ${Object.keys(steps).length}`);
