/** The log of another thread: its broker, reached over a `MessagePort` that `EmbeddedLog.port` has made. */
import type { MessagePort } from 'node:worker_threads';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { connectOverPort } from '../core/port-connections.ts';
import { connectLog } from './kafka/kafka-log.ts';
import type { Log } from './log.ts';

/** What the broker is told that it is called; leads back to the port, or the pipe, whatever it is. */
export const IN_PROCESS_ADDRESS = { host: 'in-process', port: 1 };

/**
 * @param port from `EmbeddedLog.port`, handed over in `workerData` or a message; belongs to this log, and ends with it
 * @throws {MillraceError} ML_ABORTED when the log that made the port is closed; whatever is asked of this one then says the same
 * @example const log = await connectPort(realEnv(), workerData.port);
 */
export async function connectPort(env: Env, port: MessagePort): Promise<Log> {
  const name = 'another thread';
  let isOpen = true;
  port.on('close', () => {
    isOpen = false;
  });
  return connectLog(env, {
    label: name,
    bootstrap: [IN_PROCESS_ADDRESS],
    connect: async () => {
      if (isOpen) return connectOverPort(env.timers, port, name);
      throw new MillraceError('ML_ABORTED', 'the log of the other thread is closed');
    },
    onClosed: () => port.close(),
  });
}
