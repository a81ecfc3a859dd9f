package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

type agentCommand struct {
	enrollment
	Debug bool `help:"Log more."`
}

func (c agentCommand) Run(ctx context.Context) error {
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	agent := host.Agent{
		Directory: c.Directory,
		Version:   version,
		Now:       time.Now,
		Random:    rand.Reader,
		Log:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Dismissed: c.dismissed,
	}
	go daemon.BoundLogs(ctx, enroll.AgentLog(c.Directory))
	return agent.Run(ctx)
}

// dismissed removes the enrollment, as `unenroll` does, in a process that outlives this one.
func (c agentCommand) dismissed(ctx context.Context) error {
	return enroll.LaunchUnenroll(ctx, c.Directory)
}
