# The web host, laid out as Plesk does: a subscription's folders, its login, its databases. roles/plesk/ was copied to / before.
site=/var/www/vhosts/example.org
groupadd --system psacln
groupadd --system psaserv
useradd --home-dir "$site" --no-create-home --shell /bin/bash --gid psacln --groups systemd-journal deploy
usermod --append --groups psaserv www-data
install -d -m 0710 -o deploy -g psaserv "$site"
for folder in httpdocs subdomains subdomains/{api,api-stg,crm,www,games,admin,admin-stg,admin-stg/httpdocs,n8n} logs; do
  install -d -m 0755 -o deploy -g psacln "$site/$folder"
done
for name in api crm www games admin n8n website; do install -m 0644 -o www-data -g psacln /dev/null "$site/logs/$name.log"; done
install -d -m 0700 -o deploy -g psacln "$site/.ssh"
install -m 0600 -o deploy -g psacln /root/.ssh/authorized_keys "$site/.ssh/authorized_keys"
chmod 0440 /etc/sudoers.d/deploy
chmod 0755 /usr/local/bin/{drush,cv,docker}
install -d -m 0777 /var/log/stand-ins

# What stays beside all releases.
shared() { install -D -m "$1" -o deploy -g psacln /dev/stdin "$site/subdomains/$2"; }
printf 'DATABASE=mo_votes\nDATABASE_USER=svc_votes\nDATABASE_PASSWORD=%s\n' "$MO_VOTES_DB_PASS" | shared 0640 api/shared/.env
printf 'ADDRESS=%s\nDATABASE=mo_api_stg\nDATABASE_USER=svc_api_stg\nDATABASE_PASSWORD=%s\n' "$NET.20" "$MO_API_STG_DB_PASS" |
  shared 0640 api-stg/shared/.env
echo '<?php // the database is named here' | shared 0640 crm/shared/sites/default/settings.php
echo 'a portrait' | shared 0644 crm/shared/sites/default/files/portrait.png
chown -R deploy:psacln "$site/subdomains"

# Somebody's WordPress, which nobody deploys.
echo '<?php http_response_code(200); echo "Menschlichkeit ", PHP_VERSION, "\n";' >"$site/httpdocs/index.php"
install -d "$site"/httpdocs/wp-content/uploads/2024
echo 'a photograph' >"$site/httpdocs/wp-content/uploads/2024/photo.jpg"
chown -R deploy:psacln "$site/httpdocs"

systemctl daemon-reload
systemctl enable --now php8.2-fpm mariadb api-fastapi api-fastapi-stg
rm -f /etc/nginx/sites-enabled/default
nginx -t
systemctl enable --now nginx
for name in main votes support newsletter forum; do
  password=MO_${name^^}_DB_PASS
  mariadb_database "$name" "${!password}" localhost
  mariadb_trigger "$name"
done
mariadb_maintenance "$MO_PLESK_MAINTENANCE_PASS" localhost
