/**
 * The AMQP port: accepts connections and lets each one live or die by itself.
 *
 * Owns: the listener, the open connections, their limits in number, the names of answers without a queue, and the look at the disk: while
 * it is full those who publish wait.
 */
import { Background } from '../../core/background.ts';
import type { Connection, Env, Listener, Timer } from '../../core/env.ts';
import { SERVER_CLOSE_MS } from '../../core/limits.ts';
import { AMQP_SWEEP_MS } from '../../core/queue-limits.ts';
import type { Logger } from '../../core/log.ts';
import { isLoopback } from '../../core/open-bind.ts';
import type { Broker } from '../../broker/broker.ts';
import type { ConnectionInfo } from '../../wire/amqp/management.ts';
import { FaultLog } from '../fault-log.ts';
import { AmqpConnection } from './connection.ts';
import type { ConnectionOrigin } from './handshake.ts';
import { DirectReplies } from './direct-replies.ts';
import type { AmqpShared } from './session.ts';

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
  private readonly connections = new Set<AmqpConnection>();
  private readonly countByAddress = new Map<string, number>();
  private readonly faults: FaultLog;
  private listener: Listener | undefined;
  private timer: Timer | undefined;
  private isDiskFull = false;
  private closing: Promise<void> | undefined;
  private onEmpty: (() => void) | undefined;

  constructor(options: AmqpServerOptions) {
    const { env, logger, broker } = options;
    this.options = options;
    this.faults = new FaultLog(env, logger);
    this.shared = {
      env,
      logger,
      faults: this.faults,
      settings: broker.settings,
      vhosts: broker.virtualHosts,
      access: broker.access,
      replies: new DirectReplies(env.random),
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
    await this.listener?.close();
    for (const connection of this.connections) connection.close('broker is shutting down');
    if (this.connections.size > 0) await this.emptied();
    await this.shared.background.settled();
  }

  private emptied(): Promise<void> {
    return new Promise((resolve) => {
      const late = this.options.env.timers.after(SERVER_CLOSE_MS, () => {
        for (const connection of this.connections) connection.destroy();
      });
      this.onEmpty = () => {
        late.cancel();
        resolve();
      };
    });
  }

  private accept(connection: Connection, origin: ConnectionOrigin): void {
    const { settings } = this.options.broker;
    const { remoteAddress, remotePort } = connection;
    const ofAddress = this.countByAddress.get(remoteAddress) ?? 0;
    const full = this.connections.size >= settings.maxConnections;
    if (full || ofAddress >= settings.maxConnectionsPerIp || this.closing !== undefined) {
      const setting = full ? 'max.connections' : 'max.connections.per.ip';
      if (this.closing === undefined)
        this.faults.log(`a connection was refused: ${setting} is reached`, { remoteAddress });
      connection.destroy();
      return;
    }
    this.countByAddress.set(remoteAddress, ofAddress + 1);
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
      onClosed: () => this.forget(client, remoteAddress),
    });
    this.connections.add(client);
    client.start();
  }

  private forget(client: AmqpConnection, remoteAddress: string): void {
    this.connections.delete(client);
    const left = (this.countByAddress.get(remoteAddress) ?? 1) - 1;
    if (left === 0) this.countByAddress.delete(remoteAddress);
    else this.countByAddress.set(remoteAddress, left);
    if (this.connections.size === 0) this.onEmpty?.();
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
