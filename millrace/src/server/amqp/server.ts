/**
 * The AMQP port: accepts connections and lets each one live or die by itself.
 *
 * Owns: the listener, the open connections, the names of answers without a queue, and the look at the disk: while
 * it is full those who publish wait.
 */
import { Background } from '../../core/background.ts';
import type { Connection, Env, Listener, Timer } from '../../core/env.ts';
import { AMQP_SWEEP_MS } from '../../core/queue-limits.ts';
import type { Logger } from '../../core/log.ts';
import { isLoopback } from '../../core/open-bind.ts';
import type { Broker } from '../../broker/broker.ts';
import type { ConnectionInfo } from '../../wire/amqp/management.ts';
import { FaultLog } from '../fault-log.ts';
import { OpenConnections } from '../open-connections.ts';
import { AmqpConnection } from './connection.ts';
import type { ConnectionOrigin } from './handshake.ts';
import { DirectReplies } from './direct-replies.ts';
import { PublishTurns } from './publish-turns.ts';
import { ReceiveTurns } from './receive-turns.ts';
import type { AmqpShared } from './session.ts';
import { SettleTurns } from './settle-turns.ts';

/** As RabbitMQ says it: rules that watch what clients write down look for it. */
const SHUTDOWN = "broker forced connection closure with reason 'shutdown'";

export interface AmqpServerOptions {
  readonly env: Env;
  readonly broker: Broker;
  readonly logger: Logger;
  /** Where it listens. undefined: nowhere; connections come through `serve` alone. */
  readonly listen?: {
    readonly host: string;
    /** 0 lets the system choose. */
    readonly port: number;
  };
}

export interface AmqpServer {
  /** undefined when it listens nowhere. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  readonly connectionCount: number;
  /** Serves a connection from within this process, under the same limits. */
  serve(connection: Connection): void;
  /** Stops accepting, tells the clients (CONNECTION_FORCED) and ends the connections. Idempotent. */
  close(): Promise<void>;
}

/** @throws {MillraceError} ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION */
export async function openAmqpServer(options: AmqpServerOptions): Promise<AmqpServer> {
  const server = new Server(options);
  await server.open();
  return server;
}

class Server implements AmqpServer {
  private readonly options: AmqpServerOptions;
  private readonly shared: AmqpShared;
  private readonly connections: OpenConnections<AmqpConnection>;
  private readonly faults: FaultLog;
  private listener: Listener | undefined;
  private timer: Timer | undefined;
  private isDiskFull = false;
  private closing: Promise<void> | undefined;

  constructor(options: AmqpServerOptions) {
    const { env, logger, broker } = options;
    this.options = options;
    this.faults = new FaultLog(env, logger);
    this.connections = new OpenConnections(broker.settings, this.faults);
    this.shared = {
      env,
      logger,
      faults: this.faults,
      settings: broker.settings,
      vhosts: broker.virtualHosts,
      access: broker.access,
      replies: new DirectReplies(env.random),
      turns: new PublishTurns(env, () => broker.store.isShortOfFiles),
      receiving: new ReceiveTurns(env),
      settling: new SettleTurns(env),
      background: new Background((error, task) => {
        logger.error('work in the background failed', { error, task });
      }),
      connections: () => this.infos(),
      disconnect: (who, reason) => {
        for (const connection of this.connections)
          if (connection.isOf(who)) connection.close(reason);
      },
    };
  }

  get address(): Listener | undefined {
    return this.listener;
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  async open(): Promise<void> {
    const { env, logger, listen } = this.options;
    const onAcceptError = (error: Error): void => {
      logger.error('a connection could not be accepted', { error });
    };
    if (listen !== undefined) {
      const accept = (connection: Connection): void => {
        const isNear = isLoopback(connection.remoteAddress);
        this.accept(connection, isNear ? 'machine' : 'elsewhere');
      };
      this.listener = await env.net.listen({ ...listen, onAcceptError }, accept);
    }
    this.sweepLater();
  }

  serve(connection: Connection): void {
    this.accept(connection, 'process');
  }

  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    this.timer?.cancel();
    this.connections.stop();
    await this.listener?.close();
    for (const connection of this.connections) connection.close(SHUTDOWN);
    await this.connections.ended(this.options.env);
    await this.shared.background.settled();
  }

  private accept(connection: Connection, origin: ConnectionOrigin): void {
    if (!this.connections.admits(connection)) return;
    const { remoteAddress, remotePort } = connection;
    const peer = remotePort === 0 ? remoteAddress : `${remoteAddress}:${remotePort}`;
    const client = new AmqpConnection({
      connection,
      shared: this.shared,
      peer,
      origin,
      isDiskFull: () => this.isDiskFull,
      onFault: (reason, error) => {
        if (error === undefined) this.faults.log(`AMQP connection closed: ${reason}`, { peer });
        else this.options.logger.error(`AMQP connection closed: ${reason}`, { peer, error });
      },
      onDiskFull: () => this.lookAtDisk(),
      onClosed: () => this.connections.delete(client),
    });
    this.connections.add(client, remoteAddress);
    client.start();
  }

  private infos(): ConnectionInfo[] {
    return [...this.connections].map(({ info }) => info).filter(({ vhost }) => vhost !== '');
  }

  private lookAtDisk(): void {
    const { diskFull } = this.options.broker.store.stats();
    if (diskFull !== this.isDiskFull) {
      this.isDiskFull = diskFull;
      this.options.logger.warn(
        diskFull ? 'the disk is full: AMQP publishers wait' : 'AMQP publishers go on',
      );
    }
    for (const connection of this.connections) connection.diskChanged();
  }

  /** One timer looks after all connections. */
  private sweepLater(): void {
    const { env } = this.options;
    this.timer = env.timers.after(AMQP_SWEEP_MS, () => {
      const nowMs = env.clock.monotonicMs();
      for (const connection of this.connections) connection.sweep(nowMs);
      this.lookAtDisk();
      if (this.closing === undefined) this.sweepLater();
    });
  }
}
