/** Names as clients give them. */

/** RabbitMQ takes line ends out of names; so does this. */
export function oneLine(name: string): string {
  return /[\r\n]/.test(name) ? name.replace(/[\r\n]/g, '') : name;
}
