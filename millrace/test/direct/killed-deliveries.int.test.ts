/** Webhooks out when the process that sends them is killed, again and again: each is taken in the end, under one id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMillrace } from '../../src/index.ts';

const PROGRAM = fileURLToPath(new URL('deliver-process.ts', import.meta.url));
const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const RECORDS = 200;
const KILLS = 2;
let dir = '';
let child: ChildProcess | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-killed-'));
});

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

test('a delivery that is killed loses nothing', async () => {
  {
    await using millrace = await openMillrace({ dir });
    await millrace.admin.createTopic('orders', { partitions: 2 });
    await millrace.produce(
      'orders',
      Array.from({ length: RECORDS }, (_, index) => ({ value: String(index) })),
    );
  }
  const taken = new Map<string, Set<string>>();
  let requests = 0;
  let onRequest = (): void => {};
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      requests++;
      // Each fourth request fails, whatever it is.
      if (requests % 4 === 0) response.writeHead(500).end();
      else {
        const ids = taken.get(body) ?? new Set();
        taken.set(body, ids.add(String(request.headers['webhook-id'])));
        response.end();
      }
      onRequest();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  for (let kills = 0; taken.size < RECORDS; kills++) {
    child = spawn(process.execPath, [PROGRAM, dir, url, SECRET], { stdio: 'inherit' });
    const exited = once(child, 'exit');
    const enough = kills >= KILLS ? Infinity : requests + 50;
    await new Promise<void>((resolve) => {
      onRequest = () => {
        if (taken.size === RECORDS || requests >= enough) resolve();
      };
    });
    child.kill('SIGKILL');
    await exited;
  }
  server.close();
  server.closeAllConnections();
  expect([...taken.keys()].toSorted()).toEqual(
    Array.from({ length: RECORDS }, (_, index) => String(index)).toSorted(),
  );
  const ids = [...taken.values()];
  expect(ids.every(({ size }) => size === 1)).toBe(true);
  expect(new Set(ids.flatMap((each) => [...each])).size).toBe(RECORDS);
});
