/** Records of several callers, of which one cannot be written. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { realEnv } from '../core/real-env.ts';
import { openEmbedded } from '../embedded-log.ts';
import { GroupedProducer } from './grouped-producer.ts';

test('a record whose time is refused fails by itself', async () => {
  const env = realEnv();
  const directory = mkdtempSync(join(tmpdir(), 'millrace-grouped-'));
  const log = await openEmbedded(env, { dataDir: join(directory, 'log') });
  await log.createTopics([{ name: 't', partitions: 1, configs: {} }]);
  const producer = new GroupedProducer(log);
  const nowMs = env.clock.nowMs();
  const results = await Promise.allSettled(
    Array.from({ length: 9 }, (_, index) =>
      producer.append('t', [
        {
          partition: 0,
          timestamp: index === 4 ? nowMs + 1_000_000_000 : nowMs,
          key: null,
          value: String(index),
          headers: [],
        },
      ]),
    ),
  );
  await producer.close();
  await log.close();
  rmSync(directory, { recursive: true, force: true });
  expect(results[4]).toMatchObject({ reason: { code: 'ML_TIMESTAMP_INVALID' } });
  const offsets = results.flatMap((result) =>
    result.status === 'fulfilled' ? result.value.map(({ offset }) => offset) : [],
  );
  expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
