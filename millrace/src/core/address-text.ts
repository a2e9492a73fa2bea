/** An address as people write it: `127.0.0.1:9092`, `[::1]:9092`. */
export function addressText({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): string {
  return `${hostText(host)}:${port}`;
}

/** In brackets where it is one of IPv6. */
export function hostText(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
