package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport/sallyport/internal/sshkey"
)

// sshSession holds a fresh key in memory. It offers the key to ssh as an agent does, over a socket in its own directory
// that only this user may enter.
type sshSession struct {
	directory string
	publicKey string // "TYPE BASE64"

	listener net.Listener
	serving  sync.WaitGroup
}

func newSSHSession(target sshTarget) (s *sshSession, err error) {
	pair, err := sshkey.Generate(rand.Reader, target.keyTypes...)
	if err != nil {
		return nil, err
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: pair.Signer(), Comment: "sallyport"}); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	directory, err := os.MkdirTemp("", "sallyport-ssh-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the session: %w", err)
	}
	s = &sshSession{directory: directory, publicKey: pair.Public.Line}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	err = errors.Join(
		os.WriteFile(filepath.Join(directory, publicKey), []byte(s.publicKey+" sallyport\n"), 0o600),
		os.WriteFile(filepath.Join(directory, knownHosts), []byte(knownHostsFile(target)), 0o600),
	)
	if err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("unix", filepath.Join(directory, agentSocket)); err != nil {
		return nil, fmt.Errorf("offer the key to ssh: %w", err)
	}
	s.serving.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				agent.ServeAgent(keys, conn) // ends when ssh closes the connection
			}()
		}
	})
	return s, nil
}

// close removes the key and every trace of the session.
func (s *sshSession) close() {
	if s.listener != nil {
		s.listener.Close()
		s.serving.Wait()
	}
	os.RemoveAll(s.directory)
}
