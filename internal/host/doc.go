// Package host is the agent on an enrolled machine. It holds the link to the control plane, keeps the grants that it
// receives in memory until they expire by the server's clock, hands their keys to the keys helper over a unix socket,
// and reports each key that it handed to sshd so. It does not trust what the control plane sends: it verifies every
// grant against the authority that was pinned at enrollment.
package host
