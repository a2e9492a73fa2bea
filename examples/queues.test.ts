/** Orders become mails in a queue, under test and on the log of a directory, and a worker sends them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openMillrace } from 'millrace';
import { testFlow } from 'millrace/testing';
import { sendAgain, sendMails } from './email-worker.ts';
import { orders } from './enriched-orders.ts';
import orderEmails, { type Email, emails } from './order-emails.ts';

const ORDERS = ['ann', 'bob', 'ann', 'cid'].map((customerId, index) => ({
  key: `o-${index}`,
  value: { id: `o-${index}`, customerId, total: index, placedAt: index },
}));
const MAILS = ORDERS.map(({ value }) => `${value.customerId} ${value.total} euros, thanks`);

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone())
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
}

test('under test, each order is a message, whatever is lost on the way', async () => {
  await using driver = await testFlow(orderEmails);
  await driver.send(orders, ORDERS);
  await driver.redeliver();
  const sent = driver.outputs(emails).map(({ value, key }) => `${key} ${value.text}`);
  expect(sent).toEqual(MAILS);
});

test('mails are sent once each, those of a customer in order; what cannot be sent comes back when it can', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-mails-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  await using millrace = await openMillrace({ dir });
  await millrace.produce(orders, ORDERS);
  await using flow = millrace.run(orderEmails);
  await flow.ready;
  const sent: string[] = [];
  let isBobThere = false;
  const send = async ({ to, text }: Email): Promise<void> => {
    if (to === 'bob' && !isBobThere) throw new Error('bob is not at home');
    sent.push(`${to} ${text}`);
  };
  await using worker = sendMails(millrace, send, { attempts: 2, delay: 1 });
  await until(() => worker.stats().handled === 3 && worker.stats().dead === 1);
  expect(sent.filter((mail) => mail.startsWith('ann'))).toEqual([MAILS[0], MAILS[2]]);
  isBobThere = true;
  expect(await sendAgain(millrace)).toEqual(['bob: rejected']);
  await until(() => worker.stats().handled === 4);
  expect(sent.toSorted((a, b) => a.localeCompare(b))).toEqual(
    MAILS.toSorted((a, b) => a.localeCompare(b)),
  );
});
