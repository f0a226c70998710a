package store

import (
	"context"
	"errors"
)

func openPostgres(context.Context, *DB, Config) (engine, error) {
	return nil, errors.New("store: PostgreSQL is not built yet")
}
