/** From the metadata of a JoinGroup; undefined when it is not a consumer's subscription. */
export declare function subscribedTopics(metadata: Buffer): readonly string[] | undefined;
