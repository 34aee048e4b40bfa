# The database server of the group `external`: 9 databases, for the web host alone.
printf '[mysqld]\nbind-address=0.0.0.0\n' >/etc/mysql/mariadb.conf.d/99-lab.cnf
systemctl enable --now mariadb
for name in crm n8n hooks consent games analytics api_stg admin_stg nextcloud; do
  password=MO_${name^^}_DB_PASS
  mariadb_database "$name" "${!password}" "$NET.10"
done
for name in crm consent; do mariadb_trigger "$name"; done
mariadb_maintenance "$MO_MYSQL_MAINTENANCE_PASS" "$NET.10"
