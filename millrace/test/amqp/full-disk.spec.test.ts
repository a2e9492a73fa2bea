/**
 * A small disk under the broker, and amqplib in front of it: publishers are told that they are blocked, consumers go on, and nothing confirmed
 * is lost. That it heals by itself is seen on the simulated machine, whose time flies.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'amqplib';
import { expect, test } from 'vitest';
import { startMillraceUnderTest } from './amqp-under-test.ts';
import { Inbox, quiet } from './amqplib-kit.ts';

const canMount =
  spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0;
const DISK_MEGABYTES = 160;
const BODY_BYTES = 256 * 1024;
/** More than fit. */
const SENT_MAX = (DISK_MEGABYTES * 2 ** 20) / BODY_BYTES;

test.runIf(canMount && process.env['MILLRACE_TEST_AMQP'] === undefined)(
  'a full disk blocks publishers, and nobody else',
  async () => {
    const broker = await startMillraceUnderTest([], (dir) => {
      const mount = `mount -t tmpfs -o size=${DISK_MEGABYTES}m tmpfs '${dir}' && exec "$0" "$@"`;
      return ['unshare', '-rm', 'sh', '-c', mount];
    });
    try {
      const model = await connect(broker.url);
      const blocked = once(model, 'blocked') as Promise<[string]>;
      const state = { isBlocked: false };
      model.on('blocked', () => (state.isBlocked = true));
      const sender = quiet(await model.createConfirmChannel());
      await sender.assertQueue('full');
      let sent = 0;
      const confirmed = new Set<number>();
      const send = (): void => {
        const number = sent++;
        const body = Buffer.alloc(BODY_BYTES);
        body.writeUInt32BE(number);
        sender.sendToQueue('full', body, { persistent: true }, (error) => {
          if (error === null) confirmed.add(number);
        });
      };
      for (let turn = 0; turn < SENT_MAX && !state.isBlocked; turn++) {
        send();
        if (turn % 8 === 7) await Promise.race([sender.waitForConfirms().catch(() => {}), blocked]);
      }
      expect((await blocked)[0]).toMatch(/disk/);

      // Who only consumes goes on.
      const consumer = await connect(broker.url);
      const channel = await consumer.createChannel();
      const seen = new Set<number>();
      const inbox = new Inbox();
      await channel.prefetch(20);
      await channel.consume('full', (message) => {
        if (message === null) return;
        seen.add(message.content.readUInt32BE());
        channel.ack(message);
        inbox.take(message);
        inbox.messages.splice(0);
      });
      // Whatever was confirmed is there.
      const missing = (): number[] => [...confirmed].filter((number) => !seen.has(number));
      await expect.poll(missing, { timeout: 30_000 }).toEqual([]);
      expect(confirmed.size).toBeGreaterThan(50);
      await consumer.close();
      await model.close();
    } finally {
      await broker.stop();
    }
  },
);
