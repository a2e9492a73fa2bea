/**
 * The network of a simulated machine: one address space of ports, connections as two byte pipes. Bytes arrive late,
 * in chunks of any size, and always in order.
 *
 * Invariant: bytes that a live side has been told are taken (`done`) are copied; the memory of a chunk that is
 * delivered is overwritten when the handler returns, so that whoever keeps it is found out.
 */

import type {
  Connection,
  DatagramOptions,
  DatagramSocket,
  Listener,
  ListenOptions,
  Net,
} from '../env.ts';
import { MillraceError } from '../errors.ts';
import { systemError } from '../system-error.ts';
import { SimConnection, type SimNetCore } from './sim-connection.ts';
import { SimDatagrams } from './sim-datagrams.ts';
import { SimDiskError } from './sim-disk.ts';
import type { SimProcess } from './sim-process.ts';

const FIRST_EPHEMERAL_PORT = 40_000;
const LOCAL_HOSTS: ReadonlySet<string> = new Set([
  '127.0.0.1',
  '0.0.0.0',
  'localhost',
  'simulated',
  '::',
  '::1',
]);
const CONNECT_MS = [0.05, 3] as const;

interface Listening {
  readonly owner: SimProcess | undefined;
  readonly accept: (connection: Connection) => void;
}

export class SimNetwork {
  readonly core: SimNetCore;
  private readonly listening = new Map<number, Listening>();
  private readonly connections = new Set<SimConnection>();
  private readonly datagrams: SimDatagrams;
  private nextPort = FIRST_EPHEMERAL_PORT;

  constructor(core: SimNetCore) {
    this.core = core;
    this.datagrams = new SimDatagrams(core);
  }

  /** What a process, or with undefined the world outside the machine, sees of the network. */
  netFor(owner: SimProcess | undefined): Net {
    return {
      listen: (options, onConnection) => this.listen(owner, options, onConnection),
      connect: (options) => this.connect(owner, options),
      datagrams: (options, onDatagram) => this.bindDatagrams(owner, options, onDatagram),
    };
  }

  /** A process is gone: its ports are free, and the other sides of its connections find out after a while. */
  forget(owner: SimProcess): void {
    for (const [port, listening] of this.listening)
      if (listening.owner === owner) this.listening.delete(port);
    this.datagrams.forget(owner);
    for (const connection of this.connections)
      if (connection.owner === owner) {
        connection.peer.loseContact();
        this.connections.delete(connection);
      }
  }

  /** Resets every connection, as a broken link would. */
  resetAll(): void {
    for (const connection of this.connections) connection.reset('the network was cut');
  }

  private listen(
    owner: SimProcess | undefined,
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const { host } = options;
      const refuse = (code: string): void => {
        const what = `listen on ${host}:${options.port}`;
        reject(systemError(new SimDiskError(code), what, undefined, { host, port: options.port }));
      };
      this.core.events.after(0, owner, () => {
        if (!LOCAL_HOSTS.has(host)) refuse('EADDRNOTAVAIL');
        else if (this.listening.has(options.port)) refuse('EADDRINUSE');
        else {
          const port = options.port === 0 ? this.freePort() : options.port;
          this.listening.set(port, { owner, accept });
          this.core.trace.add(`listen ${port}`);
          resolve({ host, port, close: () => this.stopListening(owner, port) });
        }
      });
    });
  }

  private stopListening(owner: SimProcess | undefined, port: number): Promise<void> {
    if (this.listening.get(port)?.owner === owner) this.listening.delete(port);
    return new Promise((resolve) => {
      this.core.events.after(0, owner, resolve);
    });
  }

  private connect(
    owner: SimProcess | undefined,
    options: { readonly host: string; readonly port: number },
  ): Promise<Connection> {
    const { core } = this;
    return new Promise((resolve, reject) => {
      const [min, max] = CONNECT_MS;
      core.events.after(core.random.between(min, max), owner, () => {
        const { host, port } = options;
        const listening = this.listening.get(port);
        if (listening === undefined || !LOCAL_HOSTS.has(host)) {
          const what = `cannot connect to ${host}:${port}: connection refused`;
          reject(new MillraceError('ML_CONNECT_FAILED', what, { fields: { host, port } }));
          return;
        }
        const ownPort = this.freePort();
        const near = new SimConnection(core, owner, port);
        const far = new SimConnection(core, listening.owner, ownPort);
        near.pairWith(far);
        this.track(near);
        this.track(far);
        core.trace.add(`connect ${ownPort} to ${port}`);
        core.events.after(0, listening.owner, () => listening.accept(far));
        resolve(near);
      });
    });
  }

  private bindDatagrams(
    owner: SimProcess | undefined,
    options: DatagramOptions,
    onDatagram: (datagram: Buffer) => void,
  ): Promise<DatagramSocket> {
    if (LOCAL_HOSTS.has(options.host)) return this.datagrams.bind(owner, options, onDatagram);
    const { host, port } = options;
    const what = `receive datagrams on ${host}:${port}`;
    return Promise.reject(
      systemError(new SimDiskError('EADDRNOTAVAIL'), what, undefined, { host, port }),
    );
  }

  private track(connection: SimConnection): void {
    this.connections.add(connection);
    connection.onEnd = () => this.connections.delete(connection);
  }

  private freePort(): number {
    while (this.listening.has(this.nextPort)) this.nextPort++;
    return this.nextPort++;
  }
}
