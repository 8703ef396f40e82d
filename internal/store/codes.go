package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// nativeCodeRow is a row of native_codes.
type nativeCodeRow struct {
	CodeHash        []byte    `gorm:"column:code_hash;primaryKey"`
	Challenge       []byte    `gorm:"column:challenge"`
	UserID          string    `gorm:"column:user_id"`
	Identity        string    `gorm:"column:identity"` // a grantedLogin, as JSON
	ProviderSession *string   `gorm:"column:provider_session"`
	CreatedAt       time.Time `gorm:"column:created_at"`
	ExpiresAt       time.Time `gorm:"column:expires_at"`
}

func (nativeCodeRow) TableName() string { return "native_codes" }

// grantedLogin is what a code's row says of the login. It is read by this
// version and the next, within a minute.
type grantedLogin struct {
	Issuer     string    `json:"iss"`
	Subject    string    `json:"sub"`
	ExternalID string    `json:"external_id"`
	InternalID string    `json:"internal_id"`
	AuthTime   time.Time `json:"auth_time"`
	ACR        string    `json:"acr,omitempty"`
	AMR        []string  `json:"amr,omitempty"`
	EndsBy     time.Time `json:"ends_by,omitzero"`
}

func rowOfCode(granted session.Granted, user directory.UserID) (nativeCodeRow, error) {
	login := granted.Login
	text, err := json.Marshal(grantedLogin{
		Issuer:     login.Identity.Issuer,
		Subject:    login.Identity.Subject,
		ExternalID: string(login.Identity.ExternalID),
		InternalID: string(login.Identity.InternalID),
		AuthTime:   storedTime(login.AuthTime),
		ACR:        login.ACR,
		AMR:        login.AMR,
		EndsBy:     granted.EndsBy,
	})
	return nativeCodeRow{
		CodeHash:        granted.Hash[:],
		Challenge:       granted.Challenge[:],
		UserID:          string(user),
		Identity:        string(text),
		ProviderSession: orNull(login.ProviderSession),
		CreatedAt:       storedTime(granted.CreatedAt),
		ExpiresAt:       storedTime(granted.ExpiresAt),
	}, err
}

func (r nativeCodeRow) granted() (session.Granted, error) {
	var login grantedLogin
	if err := json.Unmarshal([]byte(r.Identity), &login); err != nil {
		return session.Granted{}, fmt.Errorf("native_codes.identity: %w", err)
	}
	granted := session.Granted{
		Login: session.Login{
			Identity: directory.Identity{
				Issuer:     login.Issuer,
				Subject:    login.Subject,
				ExternalID: directory.ExternalID(login.ExternalID),
				InternalID: directory.InternalID(login.InternalID),
			},
			AuthTime:        login.AuthTime,
			ACR:             login.ACR,
			AMR:             login.AMR,
			ProviderSession: orEmpty(r.ProviderSession),
		},
		EndsBy:    login.EndsBy,
		CreatedAt: r.CreatedAt.UTC(),
		ExpiresAt: r.ExpiresAt.UTC(),
	}
	copy(granted.Hash[:], r.CodeHash) // the schema holds the lengths
	copy(granted.Challenge[:], r.Challenge)
	return granted, nil
}

// GrantCode recognises the user by external_id, applies User.SignIn, stores the
// code and ends the sessions that it replaces, all or nothing. It returns the
// errors of OpenSession.
func (s *Store) GrantCode(ctx context.Context, granted session.Granted, replaces []session.Hash) error {
	err := s.transact(ctx, func(tx *gorm.DB) error {
		user, err := s.recognise(tx, granted.Login.Identity, granted.CreatedAt)
		if err != nil {
			return err
		}
		replaced, err := idsOf(tx, replaces)
		if err != nil {
			return err
		}
		if _, err := s.endInOrder(tx, because(audit.Replaced, replaced)); err != nil {
			return err
		}
		row, err := rowOfCode(granted, user.ID)
		if err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return s.note(tx, audit.Event{
			At: granted.CreatedAt, Action: audit.LoginCodeGranted, UserID: user.ID,
			Origin: audit.Origin{Actor: audit.User(user.ID)},
		})
	})
	return mismatch(err)
}

// RedeemCode removes the code, whatever Redemption.Settle says of it, and stores
// the session that it opens, if the user may still sign in. It returns
// session.ErrCode, after which the code is no more.
func (s *Store) RedeemCode(ctx context.Context, redemption session.Redemption) (directory.User, session.Session, error) {
	var user directory.User
	var opening session.Opening
	var refused error // undoes nothing: the code stays spent
	err := s.transact(ctx, func(tx *gorm.DB) error {
		row, granted, err := s.takeCode(tx, redemption.Hash)
		if err != nil {
			return err
		}
		user = row.user()
		if opening, refused = settle(redemption, granted, user); refused != nil {
			refused = audit.Noted(refused)
			return s.note(tx, codeRefused(redemption, user.ID))
		}
		return s.storeSession(tx, opening, audit.LoginCodeRedeemed)
	})
	if err = cmp.Or(err, refused); err != nil {
		return directory.User{}, session.Session{}, err
	}
	return user, opening.Session, nil
}

// codeRefused is the event of a code of the user's that was spent in vain.
func codeRefused(redemption session.Redemption, user directory.UserID) audit.Event {
	return audit.Event{
		At: redemption.At, Action: audit.LoginCodeRefused, Outcome: audit.Refused, Reason: "login_code_invalid", UserID: user,
		Origin: audit.Origin{Address: redemption.Opening.Session.Address},
	}
}

// settle returns the session to open. It returns session.ErrCode, too, when the
// user is no longer who was signed in when the code was granted.
func settle(redemption session.Redemption, granted session.Granted, user directory.User) (session.Opening, error) {
	opening, err := redemption.Settle(granted)
	if err != nil {
		return session.Opening{}, err
	}
	if after, err := user.SignIn(granted.Login.Identity); err != nil || after != user {
		return session.Opening{}, session.ErrCode
	}
	opening.Session.UserID = user.ID
	return opening, nil
}

// takeCode removes the code and returns it with its user, who is locked. It
// returns session.ErrCode when there is none.
//
// One statement both finds and removes it: of two who come at once, one gets
// the row. Reading first and removing then would let both in (CWE-367, ASVS
// 15.4.2). The user is locked before, as in every transaction that ends
// sessions, so that no two of them wait for each other.
func (s *Store) takeCode(tx *gorm.DB, hash session.CodeHash) (userRow, session.Granted, error) {
	byHash := map[string]any{"hash": hash[:]}
	var user userRow
	err := s.locked(tx).Where("id = (SELECT user_id FROM native_codes WHERE code_hash = @hash)", byHash).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return userRow{}, session.Granted{}, session.ErrCode
	}
	if err != nil {
		return userRow{}, session.Granted{}, err
	}
	var code nativeCodeRow
	taken := tx.Raw(`DELETE FROM native_codes WHERE code_hash = @hash
		RETURNING code_hash, challenge, user_id, identity, provider_session, created_at, expires_at`, byHash).Scan(&code)
	if taken.Error != nil {
		return userRow{}, session.Granted{}, taken.Error
	}
	if taken.RowsAffected == 0 {
		return userRow{}, session.Granted{}, session.ErrCode
	}
	granted, err := code.granted()
	return user, granted, err
}
