// Package host is the agent on an enrolled machine: it holds the link to the control plane, keeps the grants it
// is given in memory until they expire by the server's clock, tells the keys helper of them over a unix socket,
// and reports each key it released to sshd. Nothing it is told is believed: every grant is verified against
// the authority pinned at enrollment, by the agent when it arrives and by the keys helper when it is used.
package host
