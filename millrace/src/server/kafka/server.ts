/**
 * The Kafka port: accepts connections and lets each one live or die by itself.
 *
 * Owns: the listener, the open connections, their limits in number and in time, and the memory that their requests
 * share. Invariant: no connection that was accepted is left without a deadline for its next step.
 */
import type { Connection, Env, Listener, Timer } from '../../core/env.ts';
import { CONNECTION_SWEEP_MS } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { Broker } from '../../broker/broker.ts';
import { FaultLog } from '../fault-log.ts';
import { OpenConnections } from '../open-connections.ts';
import { KafkaConnection } from './connection.ts';
import { FramePool } from './frame-pool.ts';
import { RequestMemory } from './request-memory.ts';

export interface KafkaServerOptions {
  readonly env: Env;
  readonly broker: Broker;
  readonly logger: Logger;
  /** Where it listens. undefined: nowhere; connections come through `serve` alone. */
  readonly listen?: {
    readonly host: string;
    /** 0 lets the system choose. */
    readonly port: number;
  };
  /** What clients are told to connect to, when it is not the address that is listened on. */
  readonly advertised?: Advertised;
}

export interface Advertised {
  readonly host: string;
  readonly port: number;
}

export interface KafkaServer {
  /** undefined when it listens nowhere. */
  readonly address: Advertised | undefined;
  readonly connectionCount: number;
  /**
   * Serves a connection that did not come through the listener, under the same limits.
   * @param advertised what its client is told to connect to
   */
  serve(connection: Connection, advertised: Advertised): void;
  /** Stops accepting, answers what is being worked on (a Fetch with what there is), ends the connections. Idempotent. */
  close(): Promise<void>;
}

/** @throws {MillraceError} ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION */
export async function openKafkaServer(options: KafkaServerOptions): Promise<KafkaServer> {
  const server = new Server(options);
  await server.open();
  return server;
}

class Server implements KafkaServer {
  private readonly options: KafkaServerOptions;
  private readonly memory: RequestMemory;
  private readonly pool = new FramePool();
  private readonly connections: OpenConnections<KafkaConnection>;
  private readonly faults: FaultLog;
  private listener: Listener | undefined;
  private timer: Timer | undefined;
  private nextId = 1;
  private closing: Promise<void> | undefined;

  constructor(options: KafkaServerOptions) {
    this.options = options;
    this.memory = new RequestMemory(options.broker.settings.requestMemoryBytes);
    this.faults = new FaultLog(options.env, options.logger);
    this.connections = new OpenConnections(options.broker.settings, this.faults);
  }

  get address(): Advertised | undefined {
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
        this.serve(connection, this.advertised(connection));
      };
      this.listener = await env.net.listen({ ...listen, onAcceptError }, accept);
    }
    this.sweepLater();
  }

  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    this.timer?.cancel();
    this.connections.stop();
    await this.listener?.close();
    for (const connection of this.connections) connection.close();
    this.options.broker.fetches.close();
    await this.connections.ended(this.options.env);
  }

  serve(connection: Connection, advertised: Advertised): void {
    if (!this.connections.admits(connection)) return;
    const { broker, env, logger } = this.options;
    const { remoteAddress, remotePort } = connection;
    const id = this.nextId++;
    const fields = { connection: id, remoteAddress, remotePort };
    const client = new KafkaConnection({
      connection,
      context: {
        broker,
        connection: {
          id,
          remoteAddress,
          advertisedHost: advertised.host,
          advertisedPort: advertised.port,
        },
      },
      memory: this.memory,
      pool: this.pool,
      requestBytesMax: broker.settings.socketRequestMaxBytes,
      nowMs: () => env.clock.monotonicMs(),
      onFault: (reason, error) => {
        if (error === undefined) this.faults.log(`connection closed: ${reason}`, fields);
        else logger.error(`connection closed: ${reason}`, { ...fields, error });
      },
      onClosed: () => this.connections.delete(client),
    });
    this.connections.add(client, remoteAddress);
    client.start();
  }

  /** A server that listens on all addresses tells each client the one that it came to. */
  private advertised(connection: Connection): Advertised {
    const { advertised } = this.options;
    if (advertised !== undefined) return advertised;
    const { host = '', port = 0 } = this.listener ?? {};
    const isWildcard = host === '0.0.0.0' || host === '::';
    const reached = connection.localAddress.replace(/^::ffff:/, '');
    return { host: isWildcard && reached !== '' ? reached : host, port };
  }

  /** One timer looks after all connections. */
  private sweepLater(): void {
    const { env, broker } = this.options;
    this.timer = env.timers.after(CONNECTION_SWEEP_MS, () => {
      const nowMs = env.clock.monotonicMs();
      const limits = {
        idleMs: broker.settings.connectionsMaxIdleMs,
        handshakeMs: broker.settings.handshakeTimeoutMs,
      };
      for (const connection of this.connections) connection.sweep(nowMs, limits);
      if (this.closing === undefined) this.sweepLater();
    });
  }
}
