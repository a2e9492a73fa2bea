/**
 * One queue with very many messages: filled with confirms, then consumed with the first message never acknowledged and the others in random
 * order. Prints what memory, space on the disk and a restart take at each point. `--messages N` (default ten million), `--size N` bytes of
 * a body (default 100), `--no-build`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AmqpConnection, METHODS, methodFrame, shortText } from './clients/amqp-connection.ts';
import { BenchFailure } from './failure.ts';
import { type MillraceProgram, prepareMillrace, startMillrace } from './peers/millrace.ts';
import { freePort, type RunningPeer } from './peers/peer.ts';
import { stopChildrenOnExit } from './process.ts';
import { Bodies } from './queues/bodies.ts';
import { publish } from './queues/load-control.ts';
import { formatTable } from './table.ts';

const QUEUE = 'large';
const OPEN = 20_000;
/** Unacknowledged messages, of which one is taken at random. */
const PREFETCH = 20_000;
const ROWS: string[][] = [];

interface Running {
  readonly peer: RunningPeer;
  readonly amqpPort: number;
}

async function startLarge(program: MillraceProgram, dataDir: string): Promise<Running> {
  const amqpPort = await freePort();
  const peer = await startMillrace({ program, dataDir, args: ['--amqp', `127.0.0.1:${amqpPort}`] });
  return { peer, amqpPort };
}

function row(what: string, { peer }: Running, dataDir: string, more: string): void {
  const residentMB = (peer.usage().residentBytes / 1e6).toFixed(0);
  const disk = execFileSync('du', ['-s', '--block-size=1', join(dataDir, 'data')], {
    encoding: 'utf8',
  });
  const cells = [what, residentMB, (Number.parseInt(disk, 10) / 1e6).toFixed(0), more];
  ROWS.push(cells);
  process.stderr.write(`${cells.join('  ')}\n`);
}

async function open({ amqpPort }: Running): Promise<AmqpConnection> {
  return AmqpConnection.open({ host: '127.0.0.1', port: amqpPort });
}

async function declare(running: Running): Promise<number> {
  const connection = await open(running);
  const args = [Buffer.of(0, 0), shortText(QUEUE), Buffer.of(0b10), Buffer.alloc(4)];
  const { queueDeclare, queueDeclareOk } = METHODS;
  const answer = await connection.call(1, queueDeclare, Buffer.concat(args), queueDeclareOk);
  await connection.close();
  return answer.readUInt32BE(1 + (answer[0] ?? 0));
}

/** Acknowledges `count` messages in random order, never the first; each must be one that was not seen before. */
async function consumeAtRandom(
  running: Running,
  count: number,
  seen: Uint8Array,
  bodyBytes: number,
): Promise<number> {
  const connection = await open(running);
  const bodies = new Bodies(bodyBytes);
  const startedMs = performance.now();
  const qos = Buffer.alloc(7);
  qos.writeUInt16BE(PREFETCH, 4);
  await connection.call(1, METHODS.basicQos, qos, METHODS.basicQosOk);
  const held: { tag: bigint; sequence: number }[] = [];
  const ack = methodFrame(1, METHODS.basicAck, Buffer.alloc(9));
  let tag = 0n;
  let acknowledged = 0;
  let wrong = 0;
  let state = 1;
  await new Promise<void>((resolve, reject) => {
    connection.listener = {
      method: (id, bytes, start) => {
        if (id === METHODS.basicDeliver)
          tag = bytes.readBigUInt64BE(start + 1 + (bytes[start] ?? 0));
      },
      header: () => {},
      body: (bytes, start, end) => {
        const sequence = bodies.sequence(bytes, start);
        if (!bodies.isIntact(bytes, start, end) || seen[sequence] !== 0) wrong++;
        if (sequence !== 0) held.push({ tag, sequence });
      },
      idle: () => {
        if (connection.failure !== undefined) return reject(connection.failure);
        const acks: Buffer[] = [];
        // Half of what may be held is, so that acknowledgements lie far apart.
        const least = acknowledged + held.length >= count ? 0 : PREFETCH / 2;
        while (held.length > least && acknowledged < count) {
          state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
          const at = state % held.length;
          const one = held[at] as { tag: bigint; sequence: number };
          held[at] = held.at(-1) as { tag: bigint; sequence: number };
          held.pop();
          seen[one.sequence] = 1;
          ack.writeBigUInt64BE(one.tag, 11);
          acks.push(Buffer.from(ack));
          acknowledged++;
        }
        if (acks.length > 0) connection.write(Buffer.concat(acks));
        if (acknowledged >= count) resolve();
      },
    };
    const consume = [
      Buffer.of(0, 0),
      shortText(QUEUE),
      shortText('large'),
      Buffer.of(0),
      Buffer.alloc(4),
    ];
    connection
      .call(1, METHODS.basicConsume, Buffer.concat(consume), METHODS.basicConsumeOk)
      .catch(reject);
  });
  // An answer behind the acknowledgements: they were read.
  await connection.call(1, METHODS.basicQos, qos, METHODS.basicQosOk);
  await connection.close();
  if (wrong > 0) throw new BenchFailure(`${wrong} messages came twice, or were not what was sent`);
  return (performance.now() - startedMs) / 1000;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '10000000' },
      size: { type: 'string', default: '100' },
      'no-build': { type: 'boolean' },
    },
  });
  const count = Number(values.messages);
  const bodyBytes = Number(values.size);
  const program = await prepareMillrace({ build: values['no-build'] !== true });
  const dataDir = mkdtempSync(
    join(process.env['MILLRACE_BENCH_DIR'] ?? tmpdir(), 'millrace-large-'),
  );
  let running = await startLarge(program, dataDir);
  const restart = async (what: string): Promise<void> => {
    await running.peer.stop();
    running = await startLarge(program, dataDir);
    const startedMs = performance.now();
    const ready = await declare(running);
    const seconds = (running.peer.startMs + performance.now() - startedMs) / 1000;
    row(what, running, dataDir, `${seconds.toFixed(2)} s, ${ready.toLocaleString('en-US')} ready`);
  };
  try {
    await declare(running);
    row('empty', running, dataDir, '');
    const address = { host: '127.0.0.1', port: running.amqpPort };
    const always = { fromMs: 0, toMs: Number.MAX_VALUE, rate: undefined, count };
    const published = await publish({
      ...always,
      kind: 'publish',
      client: 'raw',
      queue: QUEUE,
      address,
      bodyBytes,
      open: OPEN,
    });
    const rate = (published.count / published.seconds).toFixed(0);
    row(`${count.toLocaleString('en-US')} messages ready`, running, dataDir, `${rate} messages/s`);
    await restart('restarted');
    const seen = new Uint8Array(count);
    const half = Math.floor(count / 2);
    const seconds = await consumeAtRandom(running, half, seen, bodyBytes);
    row(
      'half acknowledged at random',
      running,
      dataDir,
      `${(half / seconds).toFixed(0)} messages/s`,
    );
    await restart('restarted');
    const rest = count - 1 - half;
    const more = await consumeAtRandom(running, rest, seen, bodyBytes);
    row('all but the first', running, dataDir, `${(rest / more).toFixed(0)} messages/s`);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    row('three seconds later', running, dataDir, '');
    await restart('restarted');
    process.stdout.write(`${formatTable(['', 'resident MB', 'on disk MB', ''], ROWS)}\n`);
  } finally {
    await running.peer.stop();
    rmSync(dataDir, { recursive: true, force: true });
    program.remove();
  }
}

stopChildrenOnExit();
await main();
