SELECT
  `t9`.`subject_id`,
  `t9`.`time`,
  CONCAT(
    '',
    IF(
      (
        `t9`.`concept_id` IS NULL
      ) OR (
        `t9`.`concept_id` = 0
      ),
      CONCAT('DRUG//', COALESCE(`t9`.`source`, '0')),
      COALESCE(`t9`.`known`, CONCAT('OMOP//', CAST(`t9`.`concept_id` AS STRING)))
    )
  ) AS `code`,
  CAST(NULL AS FLOAT64) AS `numeric_value`,
  CAST(NULL AS STRING) AS `unit`,
  `t9`.`time` IS NOT NULL AS `usable`
FROM (
  SELECT
    `t8`.*
    EXCEPT (`known_id`)
  FROM (
    SELECT
      `t4`.`subject_id`,
      `t4`.`concept_id`,
      `t4`.`source`,
      `t4`.`time`,
      `t7`.`known_id`,
      `t7`.`known`
    FROM (
      SELECT
        `t0`.`person_id` AS `subject_id`,
        `t0`.`drug_concept_id` AS `concept_id`,
        CAST(NULL AS STRING) AS `source`,
        CASE
          WHEN CAST(`t0`.`drug_exposure_start_date` AS DATETIME) < CAST(DATETIME('0001-01-01T00:00:00') AS DATETIME)
          THEN CAST(DATETIME('0001-01-01T00:00:00') AS DATETIME)
          WHEN CAST(`t0`.`drug_exposure_start_date` AS DATETIME) > CAST(DATETIME('9999-12-31T00:00:00') AS DATETIME)
          THEN CAST(DATETIME('9999-12-31T00:00:00') AS DATETIME)
          ELSE CAST(`t0`.`drug_exposure_start_date` AS DATETIME)
        END AS `time`
      FROM `drug_exposure` AS `t0`
    ) AS `t4`
    LEFT OUTER JOIN (
      SELECT
        `t5`.`concept_id` AS `known_id`,
        CONCAT(CONCAT(`t5`.`vocabulary_id`, '//'), `t5`.`concept_code`) AS `known`
      FROM (
        SELECT
          `t1`.`concept_id`,
          NULLIF(
            NULLIF(
              IF(
                STARTS_WITH(TRIM(`t1`.`vocabulary_id`, ' \t\n\r\v\f'), '"'),
                TRIM(
                  REGEXP_REPLACE(TRIM(`t1`.`vocabulary_id`, ' \t\n\r\v\f'), '(?s)^"(.*)"$', '\\1'),
                  ' \t\n\r\v\f'
                ),
                TRIM(`t1`.`vocabulary_id`, ' \t\n\r\v\f')
              ),
              ''
            ),
            '\\N'
          ) AS `vocabulary_id`,
          NULLIF(
            NULLIF(
              IF(
                STARTS_WITH(TRIM(`t1`.`concept_code`, ' \t\n\r\v\f'), '"'),
                TRIM(
                  REGEXP_REPLACE(TRIM(`t1`.`concept_code`, ' \t\n\r\v\f'), '(?s)^"(.*)"$', '\\1'),
                  ' \t\n\r\v\f'
                ),
                TRIM(`t1`.`concept_code`, ' \t\n\r\v\f')
              ),
              ''
            ),
            '\\N'
          ) AS `concept_code`,
          NULLIF(
            NULLIF(
              IF(
                STARTS_WITH(TRIM(`t1`.`concept_name`, ' \t\n\r\v\f'), '"'),
                TRIM(
                  REGEXP_REPLACE(TRIM(`t1`.`concept_name`, ' \t\n\r\v\f'), '(?s)^"(.*)"$', '\\1'),
                  ' \t\n\r\v\f'
                ),
                TRIM(`t1`.`concept_name`, ' \t\n\r\v\f')
              ),
              ''
            ),
            '\\N'
          ) AS `concept_name`
        FROM `concept` AS `t1`
      ) AS `t5`
    ) AS `t7`
      ON `t4`.`concept_id` = `t7`.`known_id`
  ) AS `t8`
) AS `t9`
