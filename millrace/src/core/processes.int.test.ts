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

/** A process group of its own, whose leader is kept from ever ending by itself: what the terminal sends goes to the group. */
async function stuckProcess(seconds: number): Promise<ChildProcess & { readonly pid: number }> {
  const script = `
    import { writeSync } from 'node:fs';
    import { endWhenStuck } from '${PROCESSES}';
    process.on('SIGINT', () => {});
    endWhenStuck(${seconds}, 'given up');
    setTimeout(() => {
      writeSync(1, 'ready');
      for (;;);
    }, 50);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    detached: true,
  }) as ChildProcess & { readonly pid: number };
  children.push(child);
  await once(child.stdout ?? child, 'data');
  return child;
}

async function whatItSays(child: ChildProcess): Promise<string> {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await once(child, 'close');
  return text;
}

test.skipIf(process.platform === 'win32')(
  'a process that is stuck ends some time after an interrupt, and at once after two',
  async () => {
    const child = await stuckProcess(0.2);
    process.kill(-child.pid, 'SIGINT');
    expect(await whatItSays(child)).toBe('given up\n');
    expect(child.signalCode).toBe('SIGKILL');
    const other = await stuckProcess(600);
    process.kill(-other.pid, 'SIGINT');
    const said = whatItSays(other);
    // Sent again until it is taken for a second one: two that wait to be delivered are one.
    while (other.signalCode === null) {
      try {
        process.kill(-other.pid, 'SIGINT');
      } catch {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await said).toBe('given up\n');
  },
);

test.skipIf(process.platform === 'win32')(
  'a process that ends by itself after an interrupt is not ended',
  async () => {
    const script = `
      import { endWhenStuck } from '${PROCESSES}';
      const stuck = endWhenStuck(0.05, 'given up');
      process.on('SIGINT', () => {
        stuck.close();
        setTimeout(() => process.exit(7), 200);
      });
      setTimeout(() => console.log('ready'), 50);
      setTimeout(() => {}, 600_000);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      detached: true,
    });
    children.push(child);
    await once(child.stdout, 'data');
    const said = whatItSays(child);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    expect(await said).toBe('');
    expect(child.exitCode).toBe(7);
  },
);
