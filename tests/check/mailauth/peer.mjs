// mailauth's half of tests/check/dkim. Each line of standard input is a question, each line of standard output its answer, both JSON;
// messages are base64.
//
//   {do: "verify", text}                      {found: ["pass/rsa-sha256", ...]}
//   {do: "arc", text}                         {found: ["pass"]}
//   {do: "sign", text, key, selector, form}   {text: the fields}
import fs from 'node:fs';
import readline from 'node:readline';
import {createRequire} from 'node:module';

const require = createRequire(process.cwd() + '/package.json');
const {dkimVerify} = require('mailauth/lib/dkim/verify');
const {dkimSign} = require('mailauth/lib/dkim/sign');
const {arc} = require('mailauth/lib/arc');

const [domain, zone] = process.argv.slice(2);
const records = new Map(fs.readFileSync(zone, 'utf8').trim().split('\n').map(l => [l.split(' ')[0], l.slice(l.indexOf(' ') + 1)]));

async function resolver(name, type) {
    const text = type === 'TXT' && records.get(name);
    if (!text)
        throw Object.assign(new Error('no such name'), {code: 'ENOTFOUND'});
    return [[text]];
}

const actions = {
    async verify(q, text) {
        const {results} = await dkimVerify(text, {resolver});
        return {found: results.map(r => `${r.status.result}/${r.algo || ''}`)};
    },
    async arc(q, text) {
        const checked = await dkimVerify(text, {resolver});
        return {found: [(await arc(checked.arc, {resolver})).status.result]};
    },
    async sign(q, text) {
        const {signatures, errors} = await dkimSign(text, {canonicalization: q.form, signTime: new Date(),
            signatureData: [{signingDomain: domain, selector: q.selector, privateKey: fs.readFileSync(q.key, 'utf8')}]});
        if (errors.length)
            throw errors[0].err || new Error('not signed');
        return {text: Buffer.from(signatures).toString('base64')};
    },
};

for await (const line of readline.createInterface({input: process.stdin})) {
    const question = JSON.parse(line);
    let answer;
    try {
        answer = await actions[question.do](question, Buffer.from(question.text, 'base64'));
    } catch (error) {
        answer = {error: String(error)};
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
}
