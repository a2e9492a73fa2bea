/** Who is compared: Millrace, and RabbitMQ with the two types of queues that keep their messages on the disk. */
import { answersAmqp } from '../clients/amqp-connection.ts';
import { BenchFailure } from '../failure.ts';
import { type MillraceProgram, startMillrace } from '../peers/millrace.ts';
import { freePort, type RunningPeer } from '../peers/peer.ts';
import { rabbitMqVersion, startRabbitMq } from '../peers/rabbitmq.ts';
import type { QueueSideName } from './side-names.ts';

export interface QueueSide {
  readonly name: QueueSideName;
  readonly version: string;
  readonly durability: string;
  /** Arguments of the queue, as they are on the wire: a table. */
  readonly queueArguments: Buffer;
  start(dataDir: string): Promise<RunningPeer>;
}

const NO_ARGUMENTS = Buffer.alloc(4);

/** @param program undefined when no side of Millrace is asked for */
export function queueSide(name: QueueSideName, program: MillraceProgram | undefined): QueueSide {
  if (name === 'millrace') {
    if (program === undefined) throw new Error('no program for a side of Millrace');
    return {
      name,
      version: program.version,
      durability: 'fdatasync before the confirm (default)',
      queueArguments: NO_ARGUMENTS,
      start: (dataDir) => startWithAmqp(program, dataDir),
    };
  }
  const isQuorum = name === 'rabbitmq-quorum';
  const version = rabbitMqVersion();
  if (version === undefined) throw new BenchFailure('RabbitMQ is not installed');
  return {
    name,
    version,
    durability: isQuorum
      ? 'fsync of the log of Raft before the confirm, one node'
      : 'fsync in intervals before the confirm (classic, durable, persistent)',
    queueArguments: isQuorum ? quorumArguments() : NO_ARGUMENTS,
    start: (dataDir) => startRabbitMq({ dataDir }),
  };
}

async function startWithAmqp(program: MillraceProgram, dataDir: string): Promise<RunningPeer> {
  const port = await freePort();
  const startedAtMs = performance.now();
  const peer = await startMillrace({ program, dataDir, args: ['--amqp', `127.0.0.1:${port}`] });
  // It is started when a client of queues has logged in, as on the other side.
  await answersAmqp({ host: peer.host, port });
  return { ...peer, port, startMs: performance.now() - startedAtMs };
}

/** {"x-queue-type": "quorum"} */
function quorumArguments(): Buffer {
  const key = Buffer.from('x-queue-type');
  const value = Buffer.from('quorum');
  const table = Buffer.concat([
    Buffer.of(key.length),
    key,
    Buffer.from('S\0\0\0'),
    Buffer.of(value.length),
    value,
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(table.length);
  return Buffer.concat([length, table]);
}
