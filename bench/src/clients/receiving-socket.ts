/** A socket whose bytes come in one buffer that is used again: what costs a client of a benchmark the least. */
import { connect, type Socket } from 'node:net';

export interface Address {
  readonly host: string;
  readonly port: number;
}

const RECEIVE_BYTES = 1 << 20;

/**
 * Connects.
 * @param onReceived `bytes` of `buffer` are what came; they are good until it returns
 */
export function connectReceiving(
  { host, port }: Address,
  onReceived: (buffer: Buffer, bytes: number) => void,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const receive = Buffer.allocUnsafe(RECEIVE_BYTES);
    const callback = (bytes: number): boolean => {
      onReceived(receive, bytes);
      return true;
    };
    const socket = connect({ host, port, noDelay: true, onread: { buffer: receive, callback } });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
