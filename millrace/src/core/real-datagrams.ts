/**
 * UDP over `node:dgram`. On Linux the kernel says in /proc/net how many datagrams it had no room for, of each socket.
 *
 * Source: proc_net(5), udp(7).
 */
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import type { DatagramOptions, DatagramSocket } from './env.ts';
import { systemError } from './system-error.ts';

export function bindDatagrams(
  options: DatagramOptions,
  onDatagram: (datagram: Buffer) => void,
): Promise<DatagramSocket> {
  const { host, port, receiveBytes, onError } = options;
  return new Promise((resolve, reject) => {
    const family = isIPv6(host) ? 'udp6' : 'udp4';
    const socket = createSocket({ type: family });
    const fail = (error: Error): void => {
      socket.close();
      reject(systemError(error, `receive datagrams on ${host}:${port}`, undefined, { host, port }));
    };
    socket.once('error', fail);
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.off('error', fail);
      socket.on('error', (error) => onError?.(systemError(error, 'receive a datagram')));
      setReceiveBytes(socket, receiveBytes);
      socket.on('message', onDatagram);
      resolve(new RealDatagrams(socket, family, onError));
    });
  });
}

/** As much of it as the system allows (net.core.rmem_max). */
function setReceiveBytes(socket: Socket, bytes: number | undefined): void {
  if (bytes === undefined) return;
  try {
    socket.setRecvBufferSize(bytes);
  } catch {
    // What it has instead is told by `receiveBytes`.
  }
}

class RealDatagrams implements DatagramSocket {
  readonly host: string;
  readonly port: number;
  readonly receiveBytes: number;
  private readonly socket: Socket;
  private readonly family: 'udp4' | 'udp6';
  private readonly onError: ((error: Error) => void) | undefined;
  private closed: Promise<void> | undefined;

  constructor(
    socket: Socket,
    family: 'udp4' | 'udp6',
    onError: ((error: Error) => void) | undefined,
  ) {
    const { address, port } = socket.address();
    this.host = address;
    this.port = port;
    this.receiveBytes = socket.getRecvBufferSize();
    this.socket = socket;
    this.family = family;
    this.onError = onError;
  }

  lost(): number | undefined {
    try {
      const table = readFileSync(`/proc/net/${this.family === 'udp4' ? 'udp' : 'udp6'}`, 'latin1');
      return lostOf(table, this.port);
    } catch {
      return undefined;
    }
  }

  send(datagram: Uint8Array, to: { readonly host: string; readonly port: number }): void {
    this.socket.send(datagram, to.port, to.host, (error) => {
      if (error !== null) this.onError?.(systemError(error, `send to ${to.host}:${to.port}`));
    });
  }

  close(): Promise<void> {
    this.closed ??= new Promise((resolve) => {
      this.socket.removeAllListeners('message');
      this.socket.close(resolve);
    });
    return this.closed;
  }
}

/**
 * Of the sockets on a port, as the kernel's table has them:
 *
 *   sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref pointer drops
 */
function lostOf(table: string, port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let lost: number | undefined;
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(suffix) === true) lost = (lost ?? 0) + Number(fields.at(-1));
  }
  return lost;
}
