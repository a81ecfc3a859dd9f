// Package host is the agent on an enrolled machine: it holds the link to the control plane, keeps the grants it
// is given in memory until they expire by the server's clock, hands their keys to the keys helper over a unix socket,
// and reports each key that sshd was given so. Nothing that the control plane says is believed: the agent verifies
// every grant against the authority pinned at enrollment.
package host
