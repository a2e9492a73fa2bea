/**
 * The log that the topics of a program are in: that of the brokers which are named, else that of the data directory, for which this process
 * is the broker as long as it runs.
 */
import { connectKafka } from '../client/kafka/kafka-log.ts';
import type { Log } from '../client/log.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { openEmbedded } from '../embedded-log.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import type { ThreadConnection } from '../engine/stream/runner/flow-types.ts';
import { EXIT, say } from './io.ts';
import { createLogger } from './logger.ts';

export interface TopicLogOptions {
  /** `--brokers`, else MILLRACE_BROKERS. */
  readonly brokers: string | undefined;
  /** Absolute. */
  readonly dataDirectory: string;
  /** Where the log of the data directory can be reached by others; undefined: nowhere. */
  readonly kafka: { readonly host: string; readonly port: number } | undefined;
  /** Takes lines for the person. */
  readonly say: (line: string) => void;
}

export interface TopicLog {
  readonly log: Log;
  /** Where others reach it; undefined: nowhere. */
  readonly brokers: string | undefined;
  /** How threads of this process reach it. */
  readonly connection: ThreadConnection;
  close(): Promise<void>;
}

/** Lets the batch engine, whose workers are processes, reach the log of this one. */
export const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** @throws {MillraceError} ML_CONNECT_FAILED, ML_USAGE; ML_DIR_LOCKED, ML_ADDRESS_IN_USE, … */
export async function openTopicLog(env: Env, options: TopicLogOptions): Promise<TopicLog> {
  const { brokers, dataDirectory, kafka } = options;
  if (brokers !== undefined) {
    const log = await connectKafka(env, { brokers });
    const connection: ThreadConnection = { kind: 'brokers', brokers };
    return { log, brokers, connection, close: () => log.close() };
  }
  try {
    const log = await openEmbedded(env, {
      dataDir: dataDirectory,
      ...(kafka === undefined ? {} : { kafka }),
      logger: warnings(env, options.say),
      // What is on disk is uncertain from here on.
      onFatal: (error) => {
        say(`error: the disk failed: ${error instanceof Error ? error.message : String(error)}`);
        exitProcess(EXIT.storage);
      },
    });
    const { address } = log.broker;
    const host = address?.host.includes(':') === true ? `[${address.host}]` : address?.host;
    return {
      log,
      brokers: address === undefined ? undefined : `${host}:${address.port}`,
      connection: { kind: 'port', port: () => log.port() },
      close: () => log.close(),
    };
  } catch (error) {
    throw lockedByBroker(error);
  }
}

/** A broker runs on the directory: the program can run there. */
function lockedByBroker(error: unknown): unknown {
  if (!(error instanceof MillraceError) || error.code !== 'ML_DIR_LOCKED') return error;
  const { kafka } = error.fields;
  if (typeof kafka !== 'string') return error;
  return new MillraceError('ML_DIR_LOCKED', error.message, {
    cause: error,
    fields: error.fields,
    hint: `A broker runs there: run the program on it with --brokers ${kafka}, or choose another directory with --data`,
  });
}

function warnings(env: Env, take: (line: string) => void): Logger {
  return createLogger({
    level: 'warn',
    format: 'text',
    clock: env.clock,
    write: (line) => {
      take(line.trimEnd());
    },
  });
}
