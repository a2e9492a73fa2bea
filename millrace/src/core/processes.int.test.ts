/** Processes that are ended when this one is. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const PROCESSES = fileURLToPath(new URL('processes.ts', import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function sleeper(): ChildProcess & { readonly pid: number } {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600_000)']);
  children.push(child);
  return child as ChildProcess & { readonly pid: number };
}

/** A process that starts a reaper for `pids`, does `then` with it, and waits. */
async function parentOf(pids: readonly number[], then = ''): Promise<ChildProcess> {
  const script = `
    import { startReaper } from '${PROCESSES}';
    const reaper = startReaper(${JSON.stringify(pids)});
    ${then}
    setTimeout(() => console.log('ready'), 50);
    setTimeout(() => {}, 600_000);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script]);
  children.push(parent);
  await once(parent.stdout, 'data');
  return parent;
}

test.skipIf(process.platform === 'win32')(
  'those that are watched end when it is killed, others do not',
  async () => {
    const [first, second, forgotten, other] = [sleeper(), sleeper(), sleeper(), sleeper()];
    const parent = await parentOf(
      [first.pid, forgotten.pid],
      `reaper.watch(${second.pid}); reaper.forget(${forgotten.pid});`,
    );
    const ended = Promise.all([once(first, 'close'), once(second, 'close')]);
    parent.kill('SIGKILL');
    expect(await ended).toEqual([
      [null, 'SIGKILL'],
      [null, 'SIGKILL'],
    ]);
    expect([forgotten, other].map(({ signalCode }) => signalCode)).toEqual([null, null]);
  },
);

test.skipIf(process.platform === 'win32')('a reaper that is closed ends nobody', async () => {
  const child = sleeper();
  const parent = await parentOf([child.pid], 'reaper.close();');
  const ended = once(parent, 'close');
  parent.kill('SIGKILL');
  await ended;
  // It would have come by now: another one, started later, has.
  const witness = sleeper();
  const second = await parentOf([witness.pid]);
  const reaped = once(witness, 'close');
  second.kill('SIGKILL');
  await reaped;
  expect(child.signalCode).toBeNull();
});
