/** `millrace start`: a broker on a directory, until it is told to stop. */
import { openServedBroker, type ServedBroker } from '../served-broker.ts';
import { addressText } from '../core/address-text.ts';
import type { Clock, Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { readWholeFile } from '../core/files.ts';
import type { Logger } from '../core/log.ts';
import { realEnv } from '../core/real-env.ts';
import { EXIT, say } from './io.ts';
import { createLogger } from './logger.ts';
import type { StartedDirect } from './start-direct.ts';
import { configFileOf, resolveStart, type StartFlags, type StartOptions } from './start-options.ts';
import { VERSION } from './version.ts';
import { boundYoungMemory } from './young-memory.ts';

/** @throws {MillraceError} before the broker answers anybody: what is wrong with the command line, the directory or the address */
export async function start(flags: StartFlags): Promise<void> {
  const options = readOptions(flags);
  const env = realEnv();
  boundYoungMemory(env.timers);
  const logger = createLogger({
    level: options.logLevel,
    format: options.logFormat,
    clock: env.clock,
    write: (line) => void process.stderr.write(line),
    colour: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
  });
  for (const name of options.unknownEnvironment) {
    logger.warn('the environment has a name that means nothing here', { name });
  }
  watchForBugs(logger);
  // Before the banner invites anybody to send one.
  const stopped = stopSignal(logger, env.clock);
  const broker = await openServedBroker({
    env,
    dataDir: options.data,
    kafka: options.kafka,
    ...(options.amqp === undefined ? {} : { amqp: options.amqp }),
    insecure: options.insecure,
    repair: options.repair,
    settings: options.settings,
    logger,
    // What is on disk is uncertain from here on: nothing more may be acknowledged, and nothing tidied up.
    onFatal: (error) => {
      logger.error('the disk failed; stopping at once', { error });
      process.exit(EXIT.storage);
    },
  });
  const direct = await startDirectly(env, options, broker, logger);
  announce(options, broker, direct, logger);
  await stopped;
  await direct?.close();
  await broker.close();
  logger.info('stopped');
  // Idle sockets of clients and timers that are due later hold nothing that is needed.
  process.exit(EXIT.ok);
}

async function startDirectly(
  env: Env,
  { http, statsd, insecure }: StartOptions,
  broker: ServedBroker,
  logger: Logger,
): Promise<StartedDirect | undefined> {
  if (http === undefined && statsd === undefined) return undefined;
  try {
    const { startDirect } = await import('./start-direct.ts');
    const options = { http: http ?? false, statsd: statsd ?? false, insecure } as const;
    return await startDirect(env, broker, options, logger);
  } catch (error) {
    await broker.close();
    throw error;
  }
}

function readOptions(flags: StartFlags): StartOptions {
  const environment = process.env;
  const name = configFileOf({ flags, environment });
  const file = name === undefined ? undefined : { name, text: readConfig(name) };
  return resolveStart({ flags, environment, file, terminal: process.stderr.isTTY });
}

function readConfig(name: string): string {
  try {
    return readWholeFile(realEnv().fs, name).toString('utf8');
  } catch (cause) {
    throw new MillraceError('ML_CONFIG_INVALID', `the config file ${name} cannot be read`, {
      cause,
      hint: 'Name a file that exists and may be read, or leave out --config',
    });
  }
}

function announce(
  options: StartOptions,
  broker: ServedBroker,
  direct: StartedDirect | undefined,
  logger: Logger,
): void {
  // Since the process began, which is what a person waits for.
  const readyMs = Math.round(process.uptime() * 1000);
  const kafka = addressText(broker.address ?? options.kafka);
  const amqp = broker.amqpAddress === undefined ? undefined : addressText(broker.amqpAddress);
  if (options.logFormat === 'json') {
    logger.info('ready', {
      version: VERSION,
      readyMs,
      data: broker.dataDir,
      kafka,
      ...(amqp === undefined ? {} : { amqp }),
      ...(direct?.http === undefined ? {} : { http: direct.http }),
      ...(direct?.statsd === undefined ? {} : { statsd: direct.statsd }),
      processId: process.pid,
    });
    return;
  }
  say(`millrace ${VERSION} ready in ${readyMs} ms`);
  say(`  data   ${broker.dataDir}`);
  say(`  kafka  ${kafka}`);
  say(`  amqp   ${amqp === undefined ? noAmqp(options) : `amqp://${amqp}`}`);
  if (direct?.http !== undefined) say(`  http   http://${direct.http}/topics`);
  if (direct?.statsd !== undefined) say(`  statsd ${direct.statsd}`);
  say(`  try    kcat -b ${kafka} -L`);
}

/** Why AMQP clients cannot connect. */
function noAmqp({ amqp }: StartOptions): string {
  return amqp === undefined ? 'off' : `none: ${addressText(amqp)} is taken; see --amqp`;
}

/**
 * A signal that follows the first within this time is the same one: Ctrl-C reaches every process of a terminal, and `npm` passes on
 * to its child what the child has got already.
 */
const SAME_SIGNAL_MS = 500;

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process there and then, which loses nothing acknowledged. */
function stopSignal(logger: Logger, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    let stoppingSinceMs: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        const nowMs = clock.monotonicMs();
        if (stoppingSinceMs === undefined) {
          stoppingSinceMs = nowMs;
          logger.info('stopping', { signal });
          resolve();
        } else if (nowMs - stoppingSinceMs > SAME_SIGNAL_MS) process.exit(EXIT.interrupted);
      });
    }
  });
}

function watchForBugs(logger: Logger): void {
  const fail = (error: unknown): void => {
    logger.error('a bug in Millrace ended it; nothing acknowledged is lost', { error });
    process.exit(EXIT.bug);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
}
