package store_test

import (
	"context"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
)

func accountMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	return map[string]func(ctx context.Context) error{
		"FindUser":   func(ctx context.Context) error { _, err := s.FindUser(ctx, id); return err },
		"ExportUser": func(ctx context.Context) error { _, err := s.ExportUser(ctx, id); return err },
		"UpdateUser": func(ctx context.Context) error { _, err := s.UpdateUser(ctx, id, account.Edit{}, 1); return err },
		"SuspendUser": func(ctx context.Context) error {
			_, err := s.SuspendUser(ctx, id, account.AnyVersion, moment)
			return err
		},
		"RestoreUser": func(ctx context.Context) error {
			_, err := s.RestoreUser(ctx, id, account.AnyVersion, moment)
			return err
		},
		"DeleteUser": func(ctx context.Context) error {
			_, err := s.DeleteUser(ctx, id, account.Deletion{At: moment, After: moment}, account.AnyVersion)
			return err
		},
		"InviteUser": func(ctx context.Context) error {
			_, err := s.InviteUser(ctx, directory.User{ID: id, Email: directory.RestoreEmail("a@b.c", "a@b.c"), CreatedAt: moment, UpdatedAt: moment})
			return err
		},
		"RemindUser": func(ctx context.Context) error { _, err := s.RemindUser(ctx, id, moment); return err },
		"RetryUser":  func(ctx context.Context) error { _, err := s.RetryUser(ctx, id, moment); return err },
		"AdoptUser": func(ctx context.Context) error {
			_, err := s.AdoptUser(ctx, id, "there", account.AnyVersion, moment)
			return err
		},
	}
}

func letterMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	return map[string]func(ctx context.Context) error{
		"RequestEmail": func(ctx context.Context) error {
			return s.RequestEmail(ctx, account.EmailChange{ID: account.EmailChangeID(id), User: id, At: moment, ExpiresAt: moment})
		},
		"FindEmailChange": func(ctx context.Context) error {
			_, err := s.FindEmailChange(ctx, account.EmailChangeID(id))
			return err
		},
		"KeepCode": func(ctx context.Context) error {
			_, err := s.KeepCode(ctx, account.EmailChangeID(id), account.CodeHash{})
			return err
		},
		"ConfirmEmail": func(ctx context.Context) error {
			_, err := s.ConfirmEmail(ctx, id, account.EmailCode{}, true, moment)
			return err
		},
		"FindLetter": func(ctx context.Context) error { _, err := s.FindLetter(ctx, account.LetterID(id)); return err },
		"DropLetter": func(ctx context.Context) error { return s.DropLetter(ctx, account.LetterID(id)) },
		"BeginOwnerNotice": func(ctx context.Context) error {
			_, err := s.BeginOwnerNotice(ctx, id, moment, moment)
			return err
		},
	}
}
